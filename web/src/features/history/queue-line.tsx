import { pauseLine, resumeLine } from "../../actions/commands"
import { t } from "../../lib/i18n"
import { useBoard } from "../../live/board"
import { Button } from "../../ui/button"

/** Why nothing starts, and the way on. Nothing shows while nobody waits and nothing is paused. */
export function QueueLine() {
  const queue = useBoard((board) => board.queue)
  if (!queue || (!queue.paused && queue.waiting.length === 0)) return null
  const reason = queue.reason ?? ""
  return (
    <div className="flex items-center gap-2 border-b border-line px-3 py-1.5 text-xs text-muted">
      <p role="status" className="min-w-0 flex-1" data-testid="queue-line">
        {queue.paused && t(queue.by === "disk" ? "queue.paused.disk" : "queue.paused", { reason })}
      </p>
      {!queue.paused && <Button look="quiet" title={t("queue.pause.hint")} className="!h-7 !px-2 !text-xs" onClick={() => void pauseLine()}>{t("queue.pause")}</Button>}
      {queue.paused && queue.by === "person" && <Button className="!h-7 !px-2 !text-xs" onClick={() => void resumeLine()}>{t("queue.resume")}</Button>}
    </div>
  )
}
