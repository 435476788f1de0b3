import { beforeAll, expect, test, vi } from "vitest"
import type { Job } from "../api/gen/qie"

vi.stubGlobal("localStorage", { getItem: () => null })
vi.stubGlobal("sessionStorage", { getItem: () => null })
let registry: typeof import("./registry")
let edit: typeof import("./edit")
let result: typeof import("./result")
let situation: typeof import("./situation")
let keys: typeof import("./keys")
beforeAll(async () => {
  registry = await import("./registry")
  edit = await import("./edit")
  result = await import("./result")
  situation = await import("./situation")
  keys = await import("./keys")
})

const job = (state: string) => ({ id: state, state }) as Job
const at = (change: object) =>
  situation.situationOf({
    ready: true, sources: 1, prompt: "make it sepia", sending: false, editor: null, first: true, selected: null, atPhoto: false, jobs: [],
    ...change,
  })

test("names and keys are used once", () => {
  const names = registry.actions.map((a) => a.name)
  const pressed = registry.actions.flatMap((a) => a.keys.map((key) => `${a.scope ?? "page"} ${key}`))
  expect(new Set(names).size).toBe(names.length)
  expect(new Set(pressed).size).toBe(pressed.length)
})

test.each([
  [{ key: "Enter", ctrlKey: true }, "run"], [{ key: "Enter", metaKey: true }, "run"], [{ key: "X", shiftKey: true }, "cancel"],
  [{ key: "x" }, undefined], [{ key: "?", shiftKey: true }, "help"], [{ key: "/" }, "search"], [{ key: "e" }, "edit-result"],
  [{ key: "e", ctrlKey: true }, undefined], [{ key: "R", shiftKey: true }, "retry"], [{ key: "r" }, "again"],
  [{ key: "z", ctrlKey: true }, "undo"], [{ key: "Z", metaKey: true, shiftKey: true }, "redo"], [{ key: "Enter", ctrlKey: true, shiftKey: true }, "run-next"],
])("%j means %s", (press, name) => {
  const full = { ctrlKey: false, metaKey: false, altKey: false, shiftKey: false, ...press }
  expect(keys.find(keys.chord(full))?.name).toBe(name)
})

test("run needs a photo, a sentence and a server, and is sent once", () => {
  expect(edit.run.enabled(at({}))).toBe(true)
  for (const change of [{ ready: false }, { sources: 0 }, { prompt: "  " }, { sending: true }]) {
    expect(edit.run.enabled(at(change))).toBe(false)
  }
})

test("cancel means the job on the stage, else the one that runs", () => {
  const [queued, running, done] = [job("queued"), job("running"), job("succeeded")]
  expect(at({ selected: queued, jobs: [running, queued] }).stoppable).toBe(queued)
  expect(at({ selected: done, jobs: [running, done] }).stoppable).toBe(running)
  expect(edit.cancel.enabled(at({ selected: done, jobs: [done] }))).toBe(false)
  expect(edit.cancel.enabled(at({ jobs: [job("canceling")] }))).toBe(false)
})

test("a result can be downloaded and edited, a failure tried again", () => {
  expect(result.download.enabled(at({ selected: job("succeeded") }))).toBe(true)
  expect(result.editResult.enabled(at({ selected: job("running") }))).toBe(false)
  expect(result.retry.enabled(at({ selected: job("failed") }))).toBe(true)
  expect(result.retry.enabled(at({ selected: job("succeeded") }))).toBe(false)
})
