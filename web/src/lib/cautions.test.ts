import { expect, test } from "vitest"
import type { ModelView } from "../api/gen/qie"
import { guidanceOf, guidanceOn, negativeIsIdle, takesOf } from "./cautions"
import { defaults } from "./recipe"

const model = {
  default_true_cfg_scale: 4, takes_s: [10, 20],
  presets: [{ name: "fast", steps: 4, true_cfg_scale: 1, takes_s: [1, 2] }, { name: "best", steps: 40 }],
} as unknown as ModelView
const s = (change: object) => ({ ...defaults, ...change })

test("guidance is what was typed, else the preset's, else the model's", () => {
  expect([guidanceOf(s({}), model), guidanceOf(s({ preset: "fast" }), model), guidanceOf(s({ preset: "fast", cfg: "2.5" }), model), guidanceOf(s({ preset: "best" }), model)])
    .toEqual([4, 1, 2.5, 4])
  expect(guidanceOn({ ...model, default_true_cfg_scale: 1 })).toBe(4)
})

test("a negative prompt is idle while guidance is off, and only then", () => {
  expect(negativeIsIdle(s({ negative: "text", preset: "fast" }), model)).toBe(true)
  expect(negativeIsIdle(s({ negative: "text" }), model)).toBe(false)
  expect(negativeIsIdle(s({ negative: " ", preset: "fast" }), model)).toBe(false)
})

test("a time is quoted only for what was measured", () => {
  expect(takesOf(s({}), model)).toEqual([10, 20])
  expect(takesOf(s({ preset: "fast" }), model)).toEqual([1, 2])
  expect(takesOf(s({ preset: "best" }), model)).toBeNull()
  for (const change of [{ steps: "3" }, { cfg: "2" }, { size: "custom" }]) expect(takesOf(s(change), model)).toBeNull()
})
