import { expect, test } from "vitest"
import { grouped, named, offered, wanted } from "./known-edits"

const edits = [
  { label: "sepia", prompt: "make it sepia", group: "colour" },
  { label: "blur", prompt: "blur the image", group: "detail" },
  { label: "warm", prompt: "make it warmer", group: "colour" },
  { label: "half", prompt: "replace the left half with the other photo", group: "two pictures", images: 2 },
]

test("groups and edits keep the model's order", () => {
  expect(grouped(edits).map((g) => [g.name, g.edits.map((e) => e.label)])).toEqual([
    ["colour", ["sepia", "warm"]], ["detail", ["blur"]], ["two pictures", ["half"]],
  ])
  expect(grouped([{ label: "a", prompt: "a" }])).toEqual([{ name: "", edits: [{ label: "a", prompt: "a" }] }])
})

test("a model of one photo is not offered edits of two", () => {
  expect(offered(edits, 1).map((e) => e.label)).toEqual(["sepia", "blur", "warm"])
  expect(offered(edits, 3)).toHaveLength(4)
})

test.each([
  ["blend with image 2", 2], ["put Image 3 into image 1", 3], ["picture2 on the left", 2], ["与图2混合", 2], ["把图片 3 放在右下角", 3],
  ["make it sepia", 0], ["an image 2x as large", 0], ["a photo 1980 style", 0], ["draw 2 images", 0], ["", 0],
])("%s names image %i", (prompt, n) => expect(named(prompt)).toBe(n))

test("an edit that the model knows says itself how many photos it needs", () => {
  expect(wanted(" replace the left half with the other photo ", edits)).toBe(2)
  expect(wanted("blend with image 3", edits)).toBe(3)
  expect(wanted("make it sepia", edits)).toBe(1)
  expect(wanted("", edits)).toBe(1)
})
