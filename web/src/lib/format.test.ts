import { expect, test } from "vitest"
import { bytes, clock, duration, fileName, percent, takes, timeLeft } from "./format"

test.each([
  [undefined, ""], [[], ""], [[3], ""], [[Number.NaN, 4], ""], [[0, 0], ""],
  [[3.2, 3.9], "about 4 s left"], [[3, 7.1], "about 3 s to 8 s left"], [[0, 1.4], "about 1 s to 2 s left"],
  [[69, 110], "about 69 s to 110 s left"], [[69, 200], "about 2 min to 4 min left"], [[4000, 7300], "about 1.2 h to 2.1 h left"],
])("time left of %j is %j", (eta, text) => expect(timeLeft(eta as number[] | undefined)).toBe(text))

test.each([[0.42, "0.4 s"], [9.96, "10 s"], [32.4, "32 s"], [95, "1 min 35 s"], [700, "12 min"], [9000, "2.5 h"]])(
  "%d s is written %j", (s, text) => expect(duration(s)).toBe(text),
)

test.each([[812_000, "812 kB"], [93_200_000, "93 MB"], [57_700_000_000, "57.7 GB"]])("%d bytes are %j", (n, text) => expect(bytes(n)).toBe(text))

test("percent is never rounded up to done", () => {
  expect([99.99, -1, 140, 41.7].map(percent)).toEqual([99, 0, 100, 41])
})

test("the day is said when it is not today", () => {
  const now = new Date("2026-11-24T12:00:00")
  expect(clock("2026-11-24T09:05:00", now)).not.toMatch(/24/)
  expect(clock("2026-11-20T09:05:00", now)).toMatch(/20/)
  expect(clock("nonsense", now)).toBe("")
})

test("a download is named after its photo, once", () => {
  expect(fileName("holiday.jpg", "abcd1234")).toBe("holiday-edited-abcd.png")
  expect(fileName("holiday-edited-0f0f.png", "abcd1234")).toBe("holiday-edited-abcd.png")
  expect(fileName(undefined, "abcd1234")).toBe("qie-edited-abcd.png")
})

test.each([
  [[2.1, 3.9], "3 s to 4 s"], [[0.2, 0.6], "about 1 s"], [[70, 130], "2 min to 3 min"], [[20, 40], "20 s to 40 s"], [undefined, ""], [[0, 0], ""],
])("an edit that takes %j", (range, words) => expect(takes(range)).toBe(words))
