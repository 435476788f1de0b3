import { expect, test } from "vitest"
import type { Job } from "../api/gen/qie"
import { mergeJobs } from "./board"

const job = (id: string, minute: number, prompt = "x", state = "queued") =>
  ({ id, state, created_at: `2026-11-24T12:${String(minute).padStart(2, "0")}:00Z`, recipe: { prompt } }) as Job

test("live jobs win over fetched ones, newest first", () => {
  const live = { b: job("b", 2, "x", "running"), c: job("c", 3) }
  const merged = mergeJobs(live, [job("b", 2), job("a", 1)], "")
  expect(merged.map((j) => [j.id, j.state])).toEqual([["c", "queued"], ["b", "running"], ["a", "queued"]])
})

test("a search keeps live jobs that have its words", () => {
  const live = { a: job("a", 1, "make it Sepia"), b: job("b", 2, "blur") }
  expect(mergeJobs(live, [], " sepia").map((j) => j.id)).toEqual(["a"])
})
