import { expect, test } from "vitest"
import type { ModelProgress } from "../api/gen/qie"
import { downloadWords, runs, share } from "./download"

const at = (change: Partial<ModelProgress>): ModelProgress =>
  ({ id: "m", state: "downloading", bytes_done: 12e9, bytes_total: 57.7e9, bytes_per_s: 0, ...change })

test("a download says what is here, how fast it comes and a range for the rest", () => {
  expect(downloadWords(at({ bytes_per_s: 11.2e6, eta_s: [4000, 4900] }))).toMatch(/^12\.0 GB of 57\.7 GB · 11 MB a second · .*67.*82.*min/)
  expect(downloadWords(at({}))).toBe("12.0 GB of 57.7 GB")
})

test("each state has its words", () => {
  expect(downloadWords(at({ state: "waiting", why: "the disk is full" }))).toContain("waits: the disk is full")
  expect(downloadWords(at({ state: "paused" }))).toContain("paused")
  expect(downloadWords(at({ state: "failed", error: { code: "hub_broken", message: "the hub lies" } }))).toContain("the hub lies")
  expect(downloadWords(at({ state: "complete" }))).toBe("57.7 GB, every file checked")
  expect(downloadWords(at({ state: "absent", bytes_done: 0 }))).toBe("57.7 GB")
  for (const state of ["queued", "listing", "checking"]) expect(downloadWords(at({ state })), state).not.toBe("")
})

test("it runs until it is paused, has failed or is whole", () => {
  expect(["queued", "listing", "checking", "downloading", "waiting"].every((state) => runs(at({ state })))).toBe(true)
  expect(["absent", "paused", "failed", "complete"].some((state) => runs(at({ state })))).toBe(false)
})

test("100 percent is said when it is whole", () => {
  expect(share(at({ bytes_done: 57.69e9 }))).toBe(99)
  expect(share(at({ bytes_done: 57.7e9 }))).toBe(100)
  expect(share(at({ bytes_total: 0 }))).toBe(0)
})
