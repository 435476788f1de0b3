import { describe, expect, test } from "vitest"
import type { Job, State } from "../api/gen/qie"
import { apply, refreshed, submitted, type Position } from "./apply"
import { narrow, type Live } from "./event"

const job = (id: string, change: Partial<Job> = {}): Job => ({
  id, state: "queued", attempt: 0, recipe: { prompt: "make it sepia" }, images: [], position: 1, step: 0, steps: 0, percent: 0,
  notices: [], created_at: "2026-11-24T12:00:00Z", timings: {}, ...change,
})

const state = (change: Partial<State> = {}): State => ({
  epoch: "boot-1", seq: 10, version: "1", ready: true, reasons: [], jobs: [job("a")], worker: { state: "warm", generation: 1 },
  queue: { paused: false, waiting: ["a"] },
  model: { id: "demo", name: "Demo", max_images: 1, default_steps: 4, default_true_cfg_scale: 1, known_edits: [], presets: [], loras: [] },
  gauges: { disk_free_bytes: 1, memory_available_bytes: 1, memory_total_bytes: 2, supervisor_rss_bytes: 1, worker_rss_bytes: 1 },
  notices: [], downloads: [], ...change,
})

const frame = (s: State): Live => ({ type: "state", epoch: s.epoch, seq: s.seq, state: s })
const changed = (seq: number, j: Job, epoch = "boot-1"): Live => ({ type: "job.changed", epoch, seq, job: j })
const progress = (seq: number): Live => ({
  type: "job.progress", epoch: "boot-1", seq, progress: { job: "a", attempt: 1, phase: "denoise", step: 1, steps: 4, percent: 30 },
})

const told = (seq: number, id: string, done: number): Live => ({
  type: "model.progress", epoch: "boot-1", seq, model: { id, state: "downloading", bytes_done: done, bytes_total: 9, bytes_per_s: 0 },
})

function at(s = state()): Position {
  const { position } = apply(null, frame(s))
  if (!position) throw new Error("no position after a state frame")
  return position
}

describe("apply", () => {
  test("a download takes the place of what was known of it", () => {
    let now = at()
    for (const e of [told(11, "a", 1), told(12, "b", 2), told(13, "a", 3)]) {
      const { position } = apply(now, e)
      if (!position) throw new Error("no position")
      now = position
    }
    expect(now.board.downloads.map((d) => [d.id, d.bytes_done])).toEqual([["b", 2], ["a", 3]])
  })

  test("the line moves every waiting job to its place", () => {
    const start = at(state({ jobs: [job("a", { position: 1 }), job("b", { position: 2 }), job("c", { state: "running", position: 0 })] }))
    const queue = { paused: true, by: "person" as const, reason: "lunch", waiting: ["b", "a"] }
    const { position, refresh } = apply(start, { type: "queue.changed", epoch: "boot-1", seq: 11, queue })
    expect(position?.board.queue).toEqual(queue)
    expect(position?.board.jobs).toMatchObject({ a: { position: 2 }, b: { position: 1 }, c: { position: 0 } })
    expect(refresh).toBe(true)
  })

  test("a state frame is where everything begins", () => {
    const applied = apply(null, frame(state()))
    expect(applied).toMatchObject({ replaced: true, resync: false, changed: [{ id: "a" }] })
    expect(applied.position).toMatchObject({ epoch: "boot-1", seq: 10, board: { jobs: { a: { state: "queued" } } } })
  })

  test("events move the board in the order of seq", () => {
    const first = apply(at(), changed(11, job("a", { state: "dispatched" })))
    const second = apply(first.position, changed(12, job("a", { state: "running" })))
    expect(second.position?.seq).toBe(12)
    expect(second.position?.board.jobs["a"]?.state).toBe("running")
  })

  test("what was seen already, or comes late, changes nothing", () => {
    const now = apply(at(), changed(12, job("a", { state: "succeeded" }))).position
    for (const seq of [12, 11, 10, 1]) {
      const again = apply(now, changed(seq, job("a", { state: "running" })))
      expect(again.position).toBe(now)
      expect(again.changed).toEqual([])
    }
  })

  test("a gap is no loss: progress that was overtaken is never sent", () => {
    expect(apply(at(), changed(40, job("b"))).position?.board.jobs).toHaveProperty("b")
  })

  test("progress moves seq and leaves the board as it is", () => {
    const before = at()
    const applied = apply(before, progress(11))
    expect(applied.position?.board).toBe(before.board)
    expect(applied).toMatchObject({ position: { seq: 11 }, progress: { job: "a", percent: 30 } })
  })

  test("another epoch, or no state yet, asks for a resync and keeps what is shown", () => {
    const before = at()
    const applied = apply(before, changed(11, job("a", { state: "failed" }), "boot-2"))
    expect(applied).toMatchObject({ resync: true, position: before })
    expect(apply(null, progress(1)).resync).toBe(true)
  })

  test("a state of a new epoch replaces everything, whatever its seq", () => {
    const applied = apply(at(), frame(state({ epoch: "boot-2", seq: 1, jobs: [job("z")] })))
    expect(Object.keys(applied.position?.board.jobs ?? {})).toEqual(["z"])
    expect(applied.replaced).toBe(true)
  })

  test("an older state of the same epoch is dropped", () => {
    const now = apply(at(), changed(12, job("b"))).position
    expect(apply(now, frame(state())).position).toBe(now)
  })

  test("a removed job is gone", () => {
    const applied = apply(at(), { type: "job.removed", epoch: "boot-1", seq: 11, id: "a" })
    expect(applied.position?.board.jobs).toEqual({})
    expect(applied.removed).toBe("a")
  })

  test("a changed worker asks for what no event carries", () => {
    const applied = apply(at(), { type: "worker.changed", epoch: "boot-1", seq: 11, worker: { state: "broken", generation: 2 } })
    expect(applied).toMatchObject({ refresh: true, position: { board: { worker: { state: "broken" } } } })
  })
})

test("an answer never overwrites an event that was quicker", () => {
  const { board } = at()
  expect(submitted(board, job("a", { state: "failed" }))).toBe(board)
  expect(submitted(board, job("new")).jobs).toHaveProperty("new")
})

test("a refresh leaves jobs to the events, and a newer worker as it is", () => {
  const now = apply(at(), { type: "worker.changed", epoch: "boot-1", seq: 20, worker: { state: "busy", generation: 1 } }).position
  if (!now) throw new Error("no position")
  const after = refreshed(now, state({ seq: 15, ready: false, reasons: [{ code: "x", message: "y" }], jobs: [] }))
  expect(after.board).toMatchObject({ ready: false, worker: { state: "busy" } })
  expect(after.board.jobs).toBe(now.board.jobs)
  expect(refreshed(now, state({ epoch: "boot-2" }))).toBe(now)
})

describe("narrow", () => {
  test("an unknown type is ignored", () => expect(narrow({ type: "tea.ready", epoch: "e", seq: 1 })).toBeNull())
  test("a frame without its part is ignored", () => expect(narrow({ type: "job.changed", epoch: "e", seq: 1 })).toBeNull())
  test("a whole frame keeps its part", () =>
    expect(narrow({ type: "job.removed", epoch: "e", seq: 1, id: "a" })).toEqual({ type: "job.removed", epoch: "e", seq: 1, id: "a" }))
})
