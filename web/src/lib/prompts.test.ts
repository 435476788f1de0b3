import { expect, test } from "vitest"
import type { Job } from "../api/gen/qie"
import { promptsOf, stepped } from "./prompts"

const job = (prompt: string, minute: number, photo: string, starred = false) =>
  ({ recipe: { prompt }, photo, starred, created_at: `2026-11-25T12:${String(minute).padStart(2, "0")}:00Z` }) as Job

test("sentences of this photo come first, starred ones before newer ones, each once", () => {
  const jobs = [job("blur", 1, "other"), job("sepia", 2, "this", true), job("darker", 3, "this"), job("sepia", 4, "other"), job("warmer", 5, "other")]
  expect(promptsOf(jobs, "this").map((p) => p.prompt)).toEqual(["sepia", "darker", "warmer", "blur"])
  expect(promptsOf(jobs, "").map((p) => p.prompt)).toEqual(["sepia", "warmer", "darker", "blur"])
})

test("stepping goes through the sentences and stops at the ends", () => {
  const list = ["a", "b"]
  expect(stepped(list, "new", 1)).toBe("a")
  expect(stepped(list, "a", 1)).toBe("b")
  expect(stepped(list, "b", 1)).toBeNull()
  expect(stepped(list, "b", -1)).toBe("a")
  expect(stepped(list, "a", -1)).toBeNull()
})
