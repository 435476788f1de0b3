import { expect, test, vi } from "vitest"
import type { Job } from "../api/gen/qie"

vi.stubGlobal("localStorage", { getItem: () => null })
const { byDay } = await import("./days")

const job = (created_at: string) => ({ id: created_at, created_at }) as Job
const at = (days: number, hour: number) => job(new Date(2026, 10, 25 - days, hour).toISOString())

test("each day stands once in front of its jobs", () => {
  const now = new Date(2026, 10, 25, 12)
  const entries = byDay([at(0, 11), at(0, 9), at(1, 23), at(8, 3)], now)
  expect(entries.map((e) => ("day" in e ? e.day : "job"))).toEqual(["Today", "job", "job", "Yesterday", "job", "Tuesday, November 17, 2026", "job"])
})
