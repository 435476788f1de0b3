import { pauseLine, resumeLine } from "../../actions/commands"
import { t } from "../../lib/i18n"
import { useBoard } from "../../live/board"
import { Button } from "../../ui/button"
import { FailureWords } from "../../ui/failure-words"

/** Why nothing starts, and the way on. Nothing shows while nobody waits and nothing is paused. */
export function QueueLine() {
  const queue = useBoard((board) => board.queue)
  if (!queue || (!queue.paused && queue.waiting.length === 0)) return null
  return (
    <div className="flex items-center gap-2 border-b border-line px-3 py-1.5 text-xs text-muted">
      <div role="status" className="min-w-0 flex-1 break-words" data-testid="queue-line" data-by={queue.by}>
        {queue.paused && (
          <>
            {t("queue.paused", { reason: queue.reason ?? "" })}
            {queue.by !== "person" && <FailureWords done={queue.done} next={queue.hint} />}
          </>
        )}
      </div>
      {!queue.paused && <Button look="quiet" title={t("queue.pause.hint")} className="!h-7 !px-2 !text-xs" onClick={() => void pauseLine()}>{t("queue.pause")}</Button>}
      {queue.paused && queue.by !== "disk" && <Button data-testid="resume" className="!h-7 !px-2 !text-xs" onClick={() => void resumeLine()}>{t("queue.resume")}</Button>}
    </div>
  )
}
