import { readFileSync } from "node:fs"
import { expect, test } from "vitest"
import { known, t } from "./i18n"

test("values fill their names", () => {
  expect(t("progress.step", { step: 2, steps: 4 })).toBe("step 2 of 4")
  expect(t("action.run")).toBe("Edit")
})

test("a key of an object's prototype is no sentence", () => expect(known("constructor")).toBeNull())

test("every group of the demo's chips has a heading", () => {
  const groups = new Set(go("pyruntime/demo/chips.tsv").trim().split("\n").map((line) => line.split("\t")[3] ?? ""))
  expect(groups.size).toBeGreaterThan(5)
  for (const group of groups) expect([group, known(`edits.${group}`)]).not.toEqual([group, null])
})

const go = (path: string) => readFileSync(new URL(`../../../${path}`, import.meta.url), "utf8")
const strings = (text: string, form: RegExp) => [...text.matchAll(form)].map((match) => match[1] ?? "")

test.each(strings(go("supervisor/job/state.go"), /^\s+\w+\s+State = "([a-z]+)"/gm))("job state %s has a word", (state) =>
  expect(known(`state.${state}`)).not.toBeNull())

test.each(strings(go("supervisor/job/state.go"), /^\s+\w+\s+Phase = "([a-z]+)"/gm))("phase %s has words", (phase) =>
  expect(known(`phase.${phase}`)).not.toBeNull())

const workerStates = /doc:"(down spawning[a-z ]+)"/.exec(go("supervisor/event/event.go"))?.[1]?.split(" ") ?? []

test("event.go is read", () => expect(workerStates.length).toBeGreaterThan(10))
test.each(workerStates)("worker state %s has words", (state) => expect(known(`worker.${state}`)).not.toBeNull())
