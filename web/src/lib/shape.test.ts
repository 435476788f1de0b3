import { expect, test } from "vitest"
import { drawn } from "./chance"
import {
  covered, framed, goesBeyond, handleAt, handles, isWhole, kept, matrixOf, mirrored, pixelsMax, quarter, reshaped, sideMax, sideMin, turned, wholeBox, wholeShape,
  type Box, type Shape,
} from "./shape"

const random = drawn(21)
const whole = (low: number, high: number) => Math.round(low + random() * (high - low))
const photoOf = () => ({ width: whole(40, 6000), height: whole(40, 6000) })
const boxOf = (): Box => ({ x: whole(-500, 3000), y: whole(-500, 3000), width: whole(sideMin, 5000), height: whole(sideMin, 5000) })
const seen = (shape: Shape, photo: { width: number; height: number }, x: number, y: number) => {
  const [a, b, c, d, e, f] = matrixOf(shape, photo)
  return [a * x + c * y + e, b * x + d * y + f]
}

test("four quarters, two mirrors, and a quarter there and back are the photo again", () => {
  for (let i = 0; i < 300; i++) {
    const photo = photoOf()
    let shape: Shape = { ...wholeShape(photo), box: boxOf() }
    const first = shape
    expect(quarter(quarter(shape, photo, 1), photo, -1)).toEqual(first)
    expect(mirrored(mirrored(shape, photo), photo)).toEqual(first)
    for (let n = 0; n < 4; n++) shape = quarter(shape, photo, 1)
    expect(shape).toEqual(first)
  }
})

test("a turned or mirrored frame shows the same part of the photo", () => {
  for (let i = 0; i < 300; i++) {
    const photo = photoOf()
    let shape: Shape = { ...wholeShape(photo), box: boxOf() }
    for (let n = 0; n < 3; n++) if (random() < 0.5) shape = quarter(shape, photo, random() < 0.5 ? 1 : -1)
    const [x, y] = [random() * photo.width, random() * photo.height]
    const [u = 0, v = 0] = seen(shape, photo, x, y)
    const { width, height } = shape.box
    const [right, left, flipped] = [quarter(shape, photo, 1), quarter(shape, photo, -1), mirrored(shape, photo)]
    for (const [next, want] of [[right, [height - v, u]], [left, [v, width - u]], [flipped, [width - u, v]]] as const) {
      seen(next, photo, x, y).forEach((n, k) => expect(n).toBeCloseTo(want[k] ?? 0, 6))
    }
  }
})

test("a new shape is the photo as it is", () => {
  const photo = photoOf()
  const shape = wholeShape(photo)
  expect(isWhole(shape, photo)).toBe(true)
  expect(isWhole(quarter(shape, photo, 1), photo)).toBe(false)
  expect(seen(shape, photo, 3, 4)).toEqual([3, 4])
  expect(goesBeyond(shape.box, photo)).toBe(false)
  expect(covered(shape.box, photo)).toEqual(wholeBox(photo))
})

test("whatever is dragged, the frame stays inside its limits and the edge across stays where it is", () => {
  for (let i = 0; i < 3000; i++) {
    const box = boxOf()
    const handle = handles[Math.floor(random() * handles.length)] ?? { h: 1 as const, v: 1 as const }
    const ratio = random() < 0.5 ? null : [1, 1.5, 16 / 9, 9 / 16, 0.75][Math.floor(random() * 5)] ?? 1
    const from: Box = ratio === null ? box : { ...box, height: Math.max(sideMin, Math.round(box.width / ratio)) }
    const next = reshaped(from, handle, whole(-9000, 9000), whole(-9000, 9000), ratio)
    for (const side of [next.width, next.height]) {
      expect(side).toBeGreaterThanOrEqual(sideMin - 1)
      expect(side).toBeLessThanOrEqual(sideMax)
      expect(Number.isInteger(side)).toBe(true)
    }
    expect(next.width * next.height).toBeLessThanOrEqual(pixelsMax)
    if (ratio !== null) expect(Math.abs(next.width - next.height * ratio)).toBeLessThanOrEqual(1 + ratio)
    const across = { h: -handle.h as -1 | 0 | 1, v: -handle.v as -1 | 0 | 1 }
    const [was, is] = [handleAt(from, across), handleAt(next, across)]
    if (handle.h !== 0) expect(Math.abs(was.x - is.x)).toBeLessThanOrEqual(1.5)
    if (handle.v !== 0) expect(Math.abs(was.y - is.y)).toBeLessThanOrEqual(1.5)
  }
})

test("a frame that may not be extended stays inside of the photo, whatever is dragged", () => {
  for (let i = 0; i < 3000; i++) {
    const photo = photoOf()
    const [width, height] = [whole(1, photo.width), whole(1, photo.height)]
    const box: Box = { x: whole(0, photo.width - width), y: whole(0, photo.height - height), width, height }
    const handle = [...handles, { h: 0 as const, v: 0 as const }][Math.floor(random() * 9)] ?? { h: 0 as const, v: 0 as const }
    const ratio = random() < 0.5 ? null : width / height
    const next = kept(reshaped(box, handle, whole(-9000, 9000), whole(-9000, 9000), ratio), handle, ratio, photo)
    if (Math.min(width, height) < 2 * sideMin) continue // it grew to the smallest frame first
    expect([next.x >= 0, next.y >= 0, next.x + next.width <= photo.width, next.y + next.height <= photo.height]).toEqual([true, true, true, true])
    if (handle.h !== 0 || handle.v !== 0) expect([next.width >= 1, next.height >= 1]).toEqual([true, true])
    else expect([next.width, next.height]).toEqual([width, height])
  }
})

test("the frame of a ratio is inside of the photo, or around it", () => {
  for (let i = 0; i < 500; i++) {
    const photo = photoOf()
    const ratio = 0.3 + random() * 3
    const [cut, around] = [framed(photo, ratio, false), framed(photo, ratio, true)]
    expect([cut.width <= photo.width + 1, cut.height <= photo.height + 1, around.width >= photo.width - 1, around.height >= photo.height - 1]).toEqual([true, true, true, true])
    for (const box of [cut, around]) expect(Math.abs(box.width / ratio - box.height)).toBeLessThanOrEqual(1 + 1 / ratio)
    expect(covered(around, photo)?.width ?? 0).toBeGreaterThanOrEqual(photo.width - 1)
  }
})

test("a turned size swaps its sides with each quarter", () => {
  expect([0, 1, 2, 3].map((n) => turned({ width: 3, height: 2 }, n).width)).toEqual([3, 2, 3, 2])
})
