import { getGetImageUrl, getGetMaskUrl, getGetThumbUrl, type Job } from "../api/gen/qie"

/** The server counts a job's sources from 1. */
const first = 1

/** sourceUrl of source i, counted as arrays do. */
export const sourceUrl = (job: Job, i: number): string => getGetImageUrl(job.id, first + i)

/** resultUrl changes when the picture does, so that a retried job never shows an old one. */
export const resultUrl = (job: Job): string | null => (job.result ? `${job.result.url}?v=${job.result.sha256.slice(0, 8)}` : null)

/** maskUrl of a job that has one. */
export const maskUrl = (job: Job): string | null => (job.mask ? getGetMaskUrl(job.id) : null)

/** thumbUrl is a small picture of the result, or of the photo while there is none. */
export const thumbUrl = (job: Pick<Job, "id" | "result">): string => `${getGetThumbUrl(job.id)}?v=${job.result?.sha256.slice(0, 8) ?? "source"}`

/** sourceThumbUrl is a small picture of what a job began from. */
export const sourceThumbUrl = (job: Pick<Job, "id">): string => getGetThumbUrl(job.id, { of: "source" })
