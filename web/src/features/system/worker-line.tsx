import { useEffect, useState } from "react"
import type { Worker } from "../../api/gen/qie"
import { bytes, duration } from "../../lib/format"
import { known, t } from "../../lib/i18n"
import { useBoard } from "../../live/board"
import { useStatus } from "../../live/status"

/** The worker's state in a word or two. */
export function WorkerLine() {
  const worker = useBoard((board) => board.worker)
  const left = useCountdown(worker)
  const lost = useStatus((s) => s.connection === "lost")
  if (!worker || lost) return null // what was true a while ago is not shown as now
  return (
    <span data-testid="worker" data-state={worker.state} title={[worker.reason, worker.done, worker.hint].filter(Boolean).join("\n")} className="hidden text-xs text-muted tabular-nums md:inline">
      {t("worker.label", { state: words(worker, left) })}
    </span>
  )
}

export function words(worker: Worker, left: number): string {
  if (worker.state === "loading" && worker.bytes_total) {
    return t("worker.loading.bytes", { done: bytes(worker.bytes_done ?? 0), total: bytes(worker.bytes_total) })
  }
  if (worker.state === "backoff" && left > 0) return t("worker.backoff.in", { s: left })
  if (worker.state === "broken" && left > 0) return t("worker.broken.in", { time: duration(left) })
  return known(`worker.${worker.state}`) ?? worker.state
}

/** useCountdown counts the seconds until the worker starts again, from the moment that the server told them. */
export function useCountdown(worker: Worker | null): number {
  const [left, setLeft] = useState(0)
  useEffect(() => {
    const end = performance.now() + (worker?.retry_in_s ?? 0) * 1000
    const tick = () => setLeft(Math.max(0, Math.ceil((end - performance.now()) / 1000)))
    tick()
    if (!worker?.retry_in_s) return
    const timer = setInterval(tick, 500)
    return () => clearInterval(timer)
  }, [worker])
  return left
}
