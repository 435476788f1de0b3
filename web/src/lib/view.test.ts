import { expect, test } from "vitest"
import { drawn } from "./chance"
import {
  actualScale, canPan, carried, fitScale, fitted, panned, pictureAt, placeOf, scaleOf, seenPart, toggled, toScale, wheelFactor, within, zoomed, type Frame, type View,
} from "./view"

const random = drawn(9)
const between = (low: number, high: number) => low + random() * (high - low)
const frame = (): Frame => ({
  picture: { width: Math.round(between(1, 8000)), height: Math.round(between(1, 8000)) },
  pane: { width: between(20, 2500), height: between(20, 1600) },
  dpr: [1, 1.25, 2, 3][Math.floor(random() * 4)] ?? 1,
})
const view = (): View => ({ zoom: Math.exp(between(-4, 5)), x: between(-1, 2), y: between(-1, 2) })
const each = (check: (f: Frame, v: View) => void) => {
  for (let i = 0; i < 2000; i++) {
    const f = frame()
    check(f, within(view(), f))
  }
}
const near = (a: number, b: number, by = 1e-6) => expect(Math.abs(a - b)).toBeLessThanOrEqual(by * Math.max(1, Math.abs(a), Math.abs(b)))

test("fit shows the whole picture, in the middle, as large as it can be", () => each((f) => {
  const place = placeOf(fitted, f)
  const seen = seenPart(place, f)
  near(seen.width, f.picture.width * place.scale)
  near(seen.height, f.picture.height * place.scale)
  near(place.left * 2 + f.picture.width * place.scale, f.pane.width)
  expect(Math.min(f.pane.width - seen.width, f.pane.height - seen.height)).toBeLessThan(1e-6 * f.pane.width + 1e-6)
}))

test("no edge of the picture comes into the pane while there is more of it", () => each((f, v) => {
  const place = placeOf(v, f)
  for (const [start, length, pane] of [[place.left, f.picture.width, f.pane.width], [place.top, f.picture.height, f.pane.height]] as const) {
    const end = start + length * place.scale
    if (length * place.scale > pane) {
      expect(start).toBeLessThanOrEqual(1e-6 * pane)
      expect(end).toBeGreaterThanOrEqual(pane * (1 - 1e-6))
    } else near(start, pane - end, 1e-5)
  }
}))

test("within changes nothing twice, and nothing that is inside its limits", () => each((f, v) => {
  const again = within(v, f)
  near(again.zoom, v.zoom)
  near(again.x, v.x)
  near(again.y, v.y)
}))

test("zooming keeps what is under the pointer, but for the edges", () => each((f, v) => {
  const at = { x: between(0, f.pane.width), y: between(0, f.pane.height) }
  const next = zoomed(v, f, Math.exp(between(-1, 1)), at)
  const before = pictureAt(at, placeOf(v, f))
  const after = pictureAt(at, placeOf(next, f))
  const scale = scaleOf(next, f)
  const free = (x: number, pane: number, picture: number) => {
    const half = pane / (2 * picture * scale)
    return x > half + 1e-9 && x < 1 - half - 1e-9
  }
  if (free(next.x, f.pane.width, f.picture.width)) near(after.x, before.x, 1e-5)
  if (free(next.y, f.pane.height, f.picture.height)) near(after.y, before.y, 1e-5)
}))

test("zooming in and out again by the same factor comes back to the scale, inside the limits", () => each((f, v) => {
  const more = zoomed(v, f, 1.3)
  if (Math.abs(more.zoom / v.zoom - 1.3) > 1e-6) return // a limit was met
  near(zoomed(more, f, 1 / 1.3).zoom, v.zoom)
}))

test("a pan moves the picture by its way, and back", () => each((f, v) => {
  const there = panned(v, f, 7, -5)
  const place = placeOf(there, f)
  const seen = placeOf(v, f)
  near(place.scale, seen.scale)
  expect(Math.abs(place.left - seen.left)).toBeLessThanOrEqual(7 + 1e-6)
  if (canPan(v, f)) return
  for (const moved of [place.left - seen.left, place.top - seen.top]) expect(Math.abs(moved)).toBeLessThanOrEqual(0.5)
}))

test("in another pane the picture is as near as before, or whole as before", () => each((f, v) => {
  const to = { ...f, pane: { width: between(20, 2500), height: between(20, 1600) } }
  expect(carried(fitted, f, to)).toEqual(fitted)
  const scale = scaleOf(carried(v, f, to), to)
  const low = Math.min(fitScale(to), actualScale(to))
  if (Math.abs(v.zoom - 1) > 1e-6) near(scale, Math.max(low, Math.min(Math.max(32, fitScale(to)), scaleOf(v, f))))
  expect(carried(v, f, { ...to, picture: { width: f.picture.width + 1, height: f.picture.height } })).toEqual(fitted)
}))

test("100 % is one pixel of the picture on one of the screen", () => each((f, v) => {
  const scale = scaleOf(toScale(v, f, actualScale(f)), f)
  near(scale, actualScale(f))
}))

test("a double click leaves the whole picture for a closer look, and the next one comes back", () => each((f) => {
  const closer = toggled(fitted, f, { x: f.pane.width / 3, y: f.pane.height / 3 })
  expect(scaleOf(closer, f)).toBeGreaterThanOrEqual(fitScale(f))
  if (closer.zoom > 1 + 1e-6) expect(toggled(closer, f, { x: 0, y: 0 })).toEqual(fitted)
}))

test("a wheel's notch is a step that the eye can follow, whatever the mouse reports", () => {
  for (const [y, mode] of [[120, 0], [3, 1], [1, 2], [4000, 0], [-120, 0]] as const) {
    const factor = wheelFactor(y, mode)
    expect(Math.max(factor, 1 / factor)).toBeLessThan(1.4)
    expect(factor < 1).toBe(y > 0)
  }
})
