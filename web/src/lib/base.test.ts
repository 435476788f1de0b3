import { expect, test } from "vitest"
import type { Job } from "../api/gen/qie"
import { baseOf, parentOf } from "./base"

const job = (change: object) => ({ id: "a", ...change }) as Job
const done = job({ result: { url: "r" } })

test.each([
  ["nothing on the stage", null, "result", 1, null],
  ["a result is what is edited next", done, "result", 1, "a"],
  ["unless the person asks for the photo", done, "photo", 1, null],
  ["a photo that is not there cannot be asked for", done, "photo", 0, "a"],
  ["one that runs lends what it began from, when that is a result", job({ parent: "p" }), "result", 1, "p"],
  ["one that began from the photo leaves the slots as they are", job({}), "result", 1, null],
  ["after a reload the slots are empty: it lends its photo", job({}), "result", 0, undefined],
] as const)("%s", (_, on, from, sources, parent) => {
  const base = baseOf(on, from, sources)
  expect(base && parentOf(base)).toBe(parent)
})
