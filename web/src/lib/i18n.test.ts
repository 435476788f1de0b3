import { readFileSync } from "node:fs"
import { expect, test } from "vitest"
import { known, speak, t } from "./i18n"
import { zh } from "./zh"

test("values fill their names", () => {
  expect(t("progress.step", { step: 2, steps: 4 })).toBe("step 2 of 4")
  expect(t("action.run")).toBe("Edit")
})

test("another language says the same with the same values", async () => {
  await speak("zh")
  expect([t("action.run"), t("progress.step", { step: 2, steps: 4 }), known("state.succeeded"), known("nothing")]).toEqual(["编辑", "第 2 步，共 4 步", "完成", null])
  await speak("en")
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

const names = (text: string) => [...new Set(strings(text, /\{([a-z]+)\}/g))].toSorted()

const english = new Map(
  ["web/src/lib/i18n.ts", "web/src/lib/words.ts"].flatMap((file) => [...go(file).matchAll(/^ {2}"([^"]+)": "(.*)",$/gm)].map((m) => [m[1] ?? "", m[2] ?? ""] as const)),
)

test("every sentence takes the same values in both languages, and none is empty or still English", () => {
  const same = new Set(["system.version", "system.torch", "system.docs", "progress.percent", "progress.title", "progress.title.left", "title.ended", "model.terms", "model.size"])
  for (const [key, text] of Object.entries(zh)) {
    expect([key, names(text)]).toEqual([key, names(english.get(key) ?? "?")])
    expect([key, /[\u4e00-\u9fff]/.test(text) || same.has(key) || /^[^a-z]*\{/.test(text) || key === "advanced.loras"]).toEqual([key, true])
  }
})

test.each(strings(go("supervisor/job/state.go"), /^\s+\w+\s+State = "([a-z]+)"/gm))("job state %s has a word", (state) =>
  expect(known(`state.${state}`)).not.toBeNull())

test.each(strings(go("supervisor/job/state.go"), /^\s+\w+\s+Phase = "([a-z]+)"/gm))("phase %s has words", (phase) =>
  expect(known(`phase.${phase}`)).not.toBeNull())

const workerStates = /doc:"(down spawning[a-z ]+)"/.exec(go("supervisor/event/event.go"))?.[1]?.split(" ") ?? []

test("event.go is read", () => expect(workerStates.length).toBeGreaterThan(10))
test.each(workerStates)("worker state %s has words", (state) => expect(known(`worker.${state}`)).not.toBeNull())
