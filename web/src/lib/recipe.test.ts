import { expect, test } from "vitest"
import { defaults, recipeOf, settingsOf } from "./recipe"

test("what is left empty stays the model's default", () => {
  expect(recipeOf("  make it sepia ", defaults)).toEqual({ prompt: "make it sepia" })
})

test("a recipe and its settings say the same", () => {
  const recipe = { prompt: "x", negative_prompt: "y", steps: 30, true_cfg_scale: 4.5, seed: 0, size: "640x480" }
  expect(recipeOf("x", settingsOf(recipe))).toEqual(recipe)
  expect(settingsOf({ prompt: "x" })).toEqual(defaults)
})
