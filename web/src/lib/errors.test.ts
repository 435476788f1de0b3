import { readFileSync } from "node:fs"
import { expect, test } from "vitest"
import { RequestError } from "../api/request"
import { sentence, sentenceOf } from "./errors"
import { known } from "./i18n"

const source = readFileSync(new URL("../../../supervisor/job/code.go", import.meta.url), "utf8")
const codes = [...source.matchAll(/^\s+Code\w+\s+Code = "([a-z_]+)"/gm)].map((match) => match[1] ?? "")

test("code.go is read", () => expect(codes.length).toBeGreaterThan(30))

test.each(codes)("%s says what happened, what was done and what next", (code) => {
  expect(known(`error.${code}`)).toMatch(/^([A-Z]|qie ).*[.]$/)
  const said = sentence({ code, message: "it measured 3" })
  expect(said.detail).toBe("It measured 3")
  expect(said.done).toMatch(/^\S.{5,}/)
  expect(said.next).toMatch(/^\S.{5,}/)
})

test("the server's words stand below ours, with its hint", () => {
  const failure = { code: "out_of_range", message: "steps is 200, it must be 1 to 100", done: "it was refused", hint: "use fewer", report: "crash-1.json" }
  expect(sentence(failure)).toEqual({
    code: "out_of_range", what: "A setting is out of its range.", detail: "Steps is 200, it must be 1 to 100", done: "It was refused",
    next: "Use fewer", report: "crash-1.json",
  })
})

test("a code that this page does not know falls back to the server's message", () => {
  expect(sentence({ code: "brand_new", message: "the moon is full" })).toEqual({
    code: "brand_new", what: "the moon is full", detail: "", done: "", next: "", report: "",
  })
  expect(sentence({ code: "toString", message: "" }).what).toBe("That did not work.")
})

test("any thrown thing becomes a sentence", () => {
  expect(sentenceOf(new RequestError(0, "offline", "")).what).toBe("qie does not answer.")
  expect(sentenceOf(new Error("boom")).what).toBe("boom")
  expect(sentenceOf("boom").what).toBe("That did not work.")
})
