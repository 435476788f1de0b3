import { expect, test } from "vitest"
import { inserted } from "./insert"

test.each([
  ["", 0, 0, "image 2", 7],
  ["put the cat", 11, 11, "put the cat image 2", 19],
  ["put into it", 4, 4, "put image 2 into it", 12],
  ["put  into", 4, 4, "put image 2 into", 11],
  ["use THIS now", 4, 8, "use image 2 now", 11],
  ["a.", 2, 2, "a. image 2", 10],
  ["把猫放进", 4, 4, "把猫放进 image 2", 12],
])("into %j at %d to %d", (text, from, to, want, at) => expect(inserted(text, from, to, "image 2")).toEqual({ text: want, at }))
