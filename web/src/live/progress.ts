import type { Job, Progress } from "../api/gen/qie"

export type Watcher = (progress: Progress) => void

/**
 * Progress by job, outside React: it comes many times a second, and whoever draws it writes to the page itself.
 * The newest attempt wins, and inside an attempt percent never goes back.
 */
export class ProgressBook {
  private readonly latest = new Map<string, Progress>()
  private readonly watchers = new Map<string, Set<Watcher>>()
  private any: (progress: Progress | null) => void = () => {}

  /** idle: nothing runs. */
  get idle(): boolean {
    return this.latest.size === 0
  }

  get(job: string): Progress | undefined {
    return this.latest.get(job)
  }

  put(p: Progress): void {
    const before = this.latest.get(p.job)
    if (before && p.attempt < before.attempt) return
    const percent = before && p.attempt === before.attempt ? Math.max(before.percent, p.percent) : p.percent
    // A preview stays on the stage until the next one of the same attempt replaces it.
    const preview = p.preview ?? (before?.attempt === p.attempt ? before.preview : undefined)
    const next: Progress = { ...p, percent, ...(preview === undefined ? {} : { preview }) }
    this.latest.set(p.job, next)
    for (const watcher of this.watchers.get(p.job) ?? []) watcher(next)
    this.any(next)
  }

  /** follow takes what a job itself says: the start of a progress, or its end. */
  follow(job: Job): void {
    if (isActive(job)) this.put(progressOf(job))
    else this.drop(job.id)
  }

  drop(job: string): void {
    if (this.latest.delete(job) && this.latest.size === 0) this.any(null)
  }

  /** onAny hears of every progress, and of null when nothing runs any more. */
  onAny(listener: (progress: Progress | null) => void): void {
    this.any = listener
  }

  /** watch calls at once with what is known, then at each change. */
  watch(job: string, watcher: Watcher): () => void {
    const set = this.watchers.get(job) ?? new Set()
    this.watchers.set(job, set.add(watcher))
    const known = this.latest.get(job)
    if (known) watcher(known)
    return () => {
      set.delete(watcher)
      if (set.size === 0) this.watchers.delete(job)
    }
  }
}

export function isActive(job: Job): boolean {
  return job.state === "dispatched" || job.state === "running" || job.state === "canceling"
}

export function hasEnded(job: Job): boolean {
  return job.state === "succeeded" || job.state === "failed" || job.state === "canceled"
}

function progressOf(job: Job): Progress {
  return {
    job: job.id,
    attempt: job.attempt,
    phase: job.phase ?? "",
    step: job.step,
    steps: job.steps,
    percent: job.percent,
    ...(job.eta_s ? { eta_s: job.eta_s } : {}),
    ...(job.preview ? { preview: job.preview } : {}),
  }
}

export const progressBook = new ProgressBook()
