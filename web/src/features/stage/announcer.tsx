import { useEffect, useRef } from "react"
import { percent } from "../../lib/format"
import { known, t } from "../../lib/i18n"
import { useUi } from "../../lib/ui-store"
import { useBoard } from "../../live/board"
import { progressBook } from "../../live/progress"

/** Progress is said at most this often; a new phase and the end at once. */
const sayEvery_ms = 10_000

/** What a screen reader hears of the job on the stage. */
export function Announcer() {
  const line = useRef<HTMLParagraphElement>(null)
  const selected = useUi((ui) => ui.selected)
  const state = useBoard((board) => (selected ? (board.jobs[selected]?.state ?? null) : null))
  useEffect(() => {
    const say = (text: string | null) => { if (line.current && text) line.current.textContent = text }
    say(state ? known(`said.${state}`) : null)
    if (!selected) return
    let last = 0
    let phase = ""
    return progressBook.watch(selected, (p) => {
      if (p.phase === phase && performance.now() - last < sayEvery_ms) return
      last = performance.now()
      phase = p.phase
      const words = known(`phase.${p.phase}`)
      if (words) say(t("progress.said", { phase: words, percent: percent(p.percent) }))
    })
  }, [selected, state])
  return <p ref={line} role="status" aria-live="polite" className="sr-only" />
}
