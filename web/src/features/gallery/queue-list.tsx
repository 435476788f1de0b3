import { cancel, move, select } from "../../actions/commands"
import { thumbUrl } from "../../lib/addresses"
import { t } from "../../lib/i18n"
import { useBoard } from "../../live/board"
import { IconButton } from "../../ui/button"
import { Picture } from "../../ui/picture"

/** So many of those that wait are listed; the gallery has them all. */
const shownMax = 8

/** Who waits, next first: each can go to the front, one place up or down, or out of the line. */
export function QueueList() {
  const waiting = useBoard((board) => board.queue.waiting) ?? []
  const jobs = useBoard((board) => board.jobs) ?? {}
  if (waiting.length === 0) return null
  return (
    <ol aria-label={t("queue.title")} data-testid="queue" className="shrink-0 border-b border-line py-1">
      {waiting.slice(0, shownMax).map((id, i) => {
        const job = jobs[id]
        if (!job) return null
        const { prompt } = job.recipe
        const above = waiting[i - 1]
        const below = waiting[i + 1]
        return (
          <li key={id} data-testid="queue-item" data-job-id={id} className="flex h-9 items-center gap-2 pr-1.5 pl-3 hover:bg-sunken">
            <span className="w-4 text-right text-xs text-muted tabular-nums">{i + 1}</span>
            <button type="button" onClick={() => select(job)} className="flex min-w-0 flex-1 items-center gap-2 text-left" title={prompt}>
              <Picture src={thumbUrl(job)} alt="" lazy className="size-6 shrink-0 rounded object-cover" />
              <span className="truncate">{prompt}</span>
            </button>
            {i > 1 && <IconButton className="!size-6" icon="first" label={t("queue.first", { prompt })} onClick={() => void move(id)} />}
            {above && <IconButton className="!size-6" icon="up" label={t("queue.up", { prompt })} onClick={() => void move(id, above)} />}
            {below && <IconButton className="!size-6" icon="down" label={t("queue.down", { prompt })} onClick={() => void move(below, id)} />}
            <IconButton className="!size-6" icon="close" label={t("queue.cancel", { prompt })} onClick={() => void cancel(id)} />
          </li>
        )
      })}
      {waiting.length > shownMax && <li className="px-3 py-1 text-xs text-muted">{t("queue.more", { n: waiting.length - shownMax })}</li>}
    </ol>
  )
}
