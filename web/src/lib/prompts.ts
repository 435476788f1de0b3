import type { Job } from "../api/gen/qie"

const shownMax = 30

/** promptsOf gives each sentence once: those of starred edits first, then the newest; of one photo first, then of the others. */
export function promptsOf(jobs: readonly Job[], photo: string): { prompt: string; starred: boolean; here: boolean }[] {
  const found = new Map<string, { prompt: string; starred: boolean; here: boolean; at: number }>()
  for (const job of jobs) {
    const { prompt } = job.recipe
    const known = found.get(prompt)
    const at = Math.max(known?.at ?? 0, Date.parse(job.created_at))
    const here = (known?.here ?? false) || (photo !== "" && job.photo === photo)
    found.set(prompt, { prompt, at, here, starred: (known?.starred ?? false) || job.starred === true })
  }
  return [...found.values()]
    .toSorted((a, b) => Number(b.here) - Number(a.here) || Number(b.starred) - Number(a.starred) || b.at - a.at)
    .slice(0, shownMax)
    .map(({ prompt, starred, here }) => ({ prompt, starred, here }))
}

/** stepped is the sentence before or behind the one that is written; the one that was begun stays at the near end. */
export function stepped(prompts: readonly string[], now: string, by: 1 | -1): string | null {
  const at = prompts.indexOf(now)
  return prompts[at + by] ?? null
}
