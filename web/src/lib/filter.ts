import type { Job } from "../api/gen/qie"

/** Which jobs the gallery shows. */
export type Filter = { q: string; photo: string; starred: boolean; trashed: boolean }

export const everything: Filter = { q: "", photo: "", starred: false, trashed: false }

/** matches is the server's rule, for jobs that came over the live stream. */
export function matches(job: Job, filter: Filter): boolean {
  const prompt = job.recipe.prompt.toLowerCase()
  return (job.trashed_at !== undefined) === filter.trashed
    && (!filter.starred || job.starred === true)
    && (filter.photo === "" || job.photo === filter.photo)
    && filter.q.toLowerCase().split(/\s+/).every((word) => prompt.includes(word))
}
