import { expect, test } from "vitest"
import type { Job } from "../api/gen/qie"
import { everything } from "../lib/filter"
import { mergeJobs } from "./board"

const job = (id: string, minute: number, prompt = "x", state = "queued") =>
  ({ id, state, created_at: `2026-11-24T12:${String(minute).padStart(2, "0")}:00Z`, recipe: { prompt } }) as Job

test("live jobs win over fetched ones, newest first", () => {
  const live = { b: job("b", 2, "x", "running"), c: job("c", 3) }
  const merged = mergeJobs(live, [job("b", 2), job("a", 1)], everything)
  expect(merged.map((j) => [j.id, j.state])).toEqual([["c", "queued"], ["b", "running"], ["a", "queued"]])
})

test("a search keeps live jobs that have its words", () => {
  const live = { a: job("a", 1, "make it Sepia"), b: job("b", 2, "blur") }
  expect(mergeJobs(live, [], { ...everything, q: " sepia" }).map((j) => j.id)).toEqual(["a"])
})

test("words are found in any order and language, two characters are enough", () => {
  const live = { a: job("a", 1, "给照片加上雪景"), b: job("b", 2, "Add a red hat") }
  const found = (q: string) => mergeJobs(live, [], { ...everything, q }).map((j) => j.id)
  expect(found("雪景")).toEqual(["a"])
  expect(found("hat RED")).toEqual(["b"])
  expect(found("red 雪景")).toEqual([])
})

test("a live job is listed only where it belongs", () => {
  const star = { ...job("a", 1), starred: true, photo: "p" }
  const live = { a: star, b: job("b", 2) }
  const listed = (change: object) => mergeJobs(live, [], { ...everything, ...change }).map((j) => j.id)
  expect(listed({ starred: true })).toEqual(["a"])
  expect(listed({ photo: "p" })).toEqual(["a"])
  expect(listed({ trashed: true })).toEqual([])
})
