import type { Job } from "../api/gen/qie"

/** What the next edit begins from, in the place of the first slot; null is the slot itself. */
export type Base = { job: Job; picture: "result" | "source" }

/**
 * baseOf: while a job is on the stage, its result is what is edited. One without a result lends what it began from itself,
 * when that is a result too, or when there is no photo in the slots any more, as after a reload.
 */
export function baseOf(job: Job | null, from: "result" | "photo", sources: number): Base | null {
  if (!job || (from === "photo" && sources > 0)) return null
  if (job.result) return { job, picture: "result" }
  return job.parent || sources === 0 ? { job, picture: "source" } : null
}

/** parentOf is the job whose result a base is; undefined for a photo. */
export const parentOf = (base: Base): string | undefined => (base.picture === "result" ? base.job.id : base.job.parent)
