import { readFileSync } from "node:fs"
import { expect, test } from "vitest"

test("the lock names no host, and a hash for every package", () => {
  const text = readFileSync(new URL("../../package-lock.json", import.meta.url), "utf8")
  expect(text).not.toMatch(/https?:\/\//)
  const { packages } = JSON.parse(text) as { packages: Record<string, { integrity?: string; inBundle?: boolean }> }
  expect(Object.entries(packages).filter(([name, entry]) => name !== "" && !entry.integrity && !entry.inBundle)).toEqual([])
})
