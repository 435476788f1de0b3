import { expect, test } from "vitest"
import { backoff } from "./socket"

test("the wait grows to a limit, and half of it is chance", () => {
  const longest = [0, 1, 2, 3, 4, 5, 6, 30].map((n) => backoff(n, () => 1))
  expect(longest).toEqual([250, 500, 1000, 2000, 4000, 8000, 8000, 8000])
  expect(backoff(3, () => 0)).toBe(1000)
})
