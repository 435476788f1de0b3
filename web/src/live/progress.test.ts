import { expect, test, vi } from "vitest"
import type { Job, Progress } from "../api/gen/qie"
import { ProgressBook } from "./progress"

const p = (change: Partial<Progress>): Progress => ({ job: "a", attempt: 1, phase: "denoise", step: 1, steps: 4, percent: 10, ...change })

test("percent never goes back inside an attempt, and starts again with the next", () => {
  const book = new ProgressBook()
  book.put(p({ percent: 60 }))
  book.put(p({ percent: 40 }))
  expect(book.get("a")?.percent).toBe(60)
  book.put(p({ attempt: 2, percent: 5 }))
  expect(book.get("a")?.percent).toBe(5)
})

test("an older attempt that arrives late is dropped", () => {
  const book = new ProgressBook()
  book.put(p({ attempt: 2, percent: 5 }))
  book.put(p({ attempt: 1, percent: 90 }))
  expect(book.get("a")).toMatchObject({ attempt: 2, percent: 5 })
})

test("a preview stays until the next, and not beyond its attempt", () => {
  const book = new ProgressBook()
  book.put(p({ preview: "/one" }))
  book.put(p({ step: 2 }))
  expect(book.get("a")?.preview).toBe("/one")
  book.put(p({ attempt: 2 }))
  expect(book.get("a")?.preview).toBeUndefined()
})

test("a watcher hears at once what is known, then every change, then nothing", () => {
  const book = new ProgressBook()
  const heard = vi.fn()
  book.put(p({}))
  const stop = book.watch("a", heard)
  book.put(p({ percent: 20 }))
  book.put(p({ job: "b" }))
  stop()
  book.put(p({ percent: 30 }))
  expect(heard.mock.calls.map(([x]) => (x as Progress).percent)).toEqual([10, 20])
})

test("an ended job has no progress, and the title hears when the last one ends", () => {
  const book = new ProgressBook()
  const any = vi.fn()
  book.onAny(any)
  book.put(p({}))
  book.follow({ id: "a", state: "succeeded" } as Job)
  expect(book.get("a")).toBeUndefined()
  expect(any).toHaveBeenLastCalledWith(null)
})
