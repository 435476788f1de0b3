import type { Job } from "../api/gen/qie"
import { day } from "./format"

export type Entry = { day: string } | { job: Job }

/** byDay puts the day in front of the jobs of that day. They come newest first. */
export function byDay(jobs: readonly Job[], now: Date = new Date()): Entry[] {
  const entries: Entry[] = []
  let last = ""
  for (const job of jobs) {
    const name = day(job.created_at, now)
    if (name !== last) entries.push({ day: name })
    last = name
    entries.push({ job })
  }
  return entries
}
