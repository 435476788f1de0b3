import { expect, test } from "vitest"
import { defaults, recipeOf, settingsOf } from "./recipe"

test("what is left empty stays the model's default", () => {
  expect(recipeOf("  make it sepia ", defaults)).toEqual({ prompt: "make it sepia" })
})

test("a recipe and its settings say the same", () => {
  const recipe = { prompt: "x", negative_prompt: "y", steps: 30, true_cfg_scale: 4.5, seed: 0, size: "640x480", preset: "fast", loras: ["blueprint", "two-step:0.8"] }
  expect(recipeOf("x", settingsOf(recipe))).toEqual(recipe)
  expect(settingsOf({ prompt: "x" })).toEqual(defaults)
})

test("a LoRA without a strength, or of strength 1, is its name alone; another strength follows it", () => {
  const loras = { plain: "", one: "1", same: " 1.0 ", weak: " 0.5", strong: "2" }
  expect(recipeOf("x", { ...defaults, loras }).loras).toEqual(["plain", "one", "same", "weak:0.5", "strong:2"])
})

test("a strength that the server refuses is sent as it was written, so that the refusal can say so", () => {
  expect(recipeOf("x", { ...defaults, loras: { a: "0", b: "9" } }).loras).toEqual(["a:0", "b:9"])
})
