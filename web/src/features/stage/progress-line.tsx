import { useEffect, useRef } from "react"
import type { Job, Progress } from "../../api/gen/qie"
import { percent, timeLeft } from "../../lib/format"
import { known, t } from "../../lib/i18n"
import { progressBook } from "../../live/progress"
import { useStatus } from "../../live/status"

/** Phase, step, percent and time left. They come many times a second and are written to the page without React. */
export function ProgressLine({ job }: { job: Job }) {
  const bar = useRef<HTMLDivElement>(null)
  const track = useRef<HTMLDivElement>(null)
  const phase = useRef<HTMLSpanElement>(null)
  const facts = useRef<HTMLSpanElement>(null)
  const { id, state, attempt, position } = job
  const lost = useStatus((s) => s.connection === "lost")
  useEffect(() => {
    const show = (p: Progress | null) => {
      const n = p ? percent(p.percent) : 0
      if (bar.current) bar.current.style.width = `${n}%`
      track.current?.setAttribute("aria-valuenow", String(n))
      write(phase.current, p ? phaseWords(state, p) : waiting(position))
      write(facts.current, p ? factWords(p) : t("queue.waiting"))
    }
    if (state === "queued" || state === "interrupted") {
      show(null)
      return
    }
    show({ job: id, attempt, phase: "", step: 0, steps: 0, percent: 0 })
    return progressBook.watch(id, show)
  }, [id, state, attempt, position])
  return (
    <div data-testid="progress" data-state={state} className={`rounded-lg border border-line bg-raised px-3 py-2.5 ${lost ? "text-muted" : ""}`}>
      <div className="mb-2 flex items-baseline justify-between gap-4 tabular-nums">
        <span ref={phase} data-testid="phase" className="font-medium" />
        <span ref={facts} hidden={lost} className="text-right text-xs text-muted" />
      </div>
      <div ref={track} role="progressbar" aria-label={t("progress.label")} aria-valuemin={0} aria-valuemax={100}
        className="h-1.5 overflow-hidden rounded-full bg-sunken">
        <div ref={bar} className="busy-bar h-full w-0 rounded-full bg-accent" />
      </div>
    </div>
  )
}

function write(target: HTMLElement | null, text: string): void {
  if (target && target.textContent !== text) target.textContent = text
}

function waiting(position: number): string {
  return position > 1 ? t("queue.position", { n: position }) : t("queue.next")
}

function phaseWords(state: string, p: Progress): string {
  if (state === "canceling") return t("phase.canceling")
  const words = known(`phase.${p.phase}`) ?? t("phase.starting")
  if (p.phase !== "denoise" || p.steps === 0) return words
  // The step that is being computed: the server counts those that are done.
  return `${words}, ${t("progress.step", { step: Math.min(p.step + 1, p.steps), steps: p.steps })}`
}

function factWords(p: Progress): string {
  const parts = [p.attempt > 1 && t("progress.attempt", { n: p.attempt }), timeLeft(p.eta_s), t("progress.percent", { percent: percent(p.percent) })]
  return parts.filter(Boolean).join(" · ")
}
