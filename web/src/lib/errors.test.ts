import { readFileSync } from "node:fs"
import { expect, test } from "vitest"
import { RequestError } from "../api/request"
import { sentence, sentenceOf } from "./errors"
import { known } from "./i18n"

const source = readFileSync(new URL("../../../supervisor/job/code.go", import.meta.url), "utf8")
const codes = [...source.matchAll(/^\s+Code\w+\s+Code = "([a-z_]+)"/gm)].map((match) => match[1] ?? "")

test("code.go is read", () => expect(codes.length).toBeGreaterThan(30))

test.each(codes)("%s has a sentence and a next action", (code) => {
  expect(known(`error.${code}`)).toMatch(/^([A-Z]|qie ).*[.]$/)
  expect(known(`error.${code}.next`)).not.toBeNull()
})

test("the server's words stand below ours, with its hint", () => {
  expect(sentence({ code: "out_of_range", message: "steps is 200, it must be 1 to 100", hint: "use fewer" })).toEqual({
    code: "out_of_range", what: "A setting is out of its range.", detail: "Steps is 200, it must be 1 to 100", next: "Use fewer",
  })
})

test("a code that this page does not know falls back to the server's message", () => {
  expect(sentence({ code: "brand_new", message: "the moon is full" })).toEqual({ code: "brand_new", what: "the moon is full", detail: "", next: "" })
  expect(sentence({ code: "toString", message: "" }).what).toBe("That did not work.")
})

test("any thrown thing becomes a sentence", () => {
  expect(sentenceOf(new RequestError(0, "offline", "")).what).toBe("qie does not answer.")
  expect(sentenceOf(new Error("boom")).what).toBe("boom")
  expect(sentenceOf("boom").what).toBe("That did not work.")
})
