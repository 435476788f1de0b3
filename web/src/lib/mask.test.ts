import { expect, test } from "vitest"
import { drawn as chance } from "./chance"
import { brushMax, brushStepped, drawn, isBlank, newDraft, redone, undone, type MaskDraft, type MaskOp } from "./mask"

const random = chance(4)
const anyOp = (): MaskOp => {
  const pick = Math.floor(random() * 5)
  const erase = random() < 0.3
  if (pick === 0) return { kind: "invert" }
  if (pick === 1) return { kind: "clear" }
  if (pick === 2) return { kind: "rectangle", erase, points: [{ x: random(), y: 0 }, { x: 1, y: 1 }] }
  return { kind: "stroke", erase, size: 1, points: [{ x: random(), y: random() }] }
}

test("any way of drawing, undoing and redoing is a walk on one line, and nothing drawn is lost on it", () => {
  for (let run = 0; run < 300; run++) {
    let draft: MaskDraft = newDraft()
    let line: MaskOp[] = []
    let at = 0
    for (let i = 0; i < 40; i++) {
      const way = random()
      if (way < 0.5) {
        const op = anyOp()
        draft = drawn(draft, op)
        line = [...line.slice(0, at), op]
        at++
      } else if (way < 0.8) {
        draft = undone(draft)
        at = Math.max(0, at - 1)
      } else {
        draft = redone(draft)
        at = Math.min(line.length, at + 1)
      }
      expect(draft.ops).toEqual(line.slice(0, at))
      expect(draft.undone.toReversed()).toEqual(line.slice(at))
    }
  }
})

test("a mask is blank until something is drawn, and again when it was cleared", () => {
  const box: MaskOp = { kind: "rectangle", erase: false, points: [{ x: 0, y: 0 }, { x: 1, y: 1 }] }
  const given = newDraft({ width: 1, height: 1, data: new Uint8Array([255]) })
  expect(isBlank(newDraft())).toBe(true)
  expect(isBlank(given)).toBe(false)
  expect(isBlank(drawn(given, { kind: "clear" }))).toBe(true)
  expect(isBlank(drawn(newDraft(), box))).toBe(false)
  expect(isBlank(drawn(newDraft(), { ...box, erase: true }))).toBe(true)
  expect(isBlank(drawn(newDraft(), { kind: "invert" }))).toBe(false)
  expect(isBlank(undone(drawn(newDraft(), box)))).toBe(true)
})

test("the brush grows and shrinks through every size between a pixel and its limit", () => {
  const of = { width: 6000, height: 4000 }
  let size = 1
  for (let i = 0; i < 60; i++) {
    const next = brushStepped(size, 1, of)
    expect(next > size || next === brushMax(of)).toBe(true)
    size = next
  }
  expect(size).toBe(1500)
  for (let i = 0; i < 60; i++) size = brushStepped(size, -1, of)
  expect(size).toBe(1)
})
