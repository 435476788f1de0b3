import { useEffect, useRef, useState } from "react"
import { discard, duplicate, removeForGood, restore, retry, select, star } from "../../actions/commands"
import type { Job } from "../../api/gen/qie"
import { thumbUrl } from "../../lib/addresses"
import { noticeWords, sentence } from "../../lib/errors"
import { clock, percent } from "../../lib/format"
import { known, t } from "../../lib/i18n"
import { hasEnded, isActive, progressBook } from "../../live/progress"
import { IconButton } from "../../ui/button"
import { Icon } from "../../ui/icons"
import { Picture } from "../../ui/picture"

const tones: Record<string, string> = { succeeded: "text-good", failed: "text-bad", running: "text-accent", dispatched: "text-accent" }
const sureFor_ms = 3_000

/** One job: picture, sentence, state, and what can be done with it. */
export function GalleryItem({ job, selected }: { job: Job; selected: boolean }) {
  const { prompt } = job.recipe
  const word = known(`state.${job.state}`) ?? job.state
  const why = job.state === "failed" && job.error ? sentence(job.error).what : ""
  const tries = !hasEnded(job) && job.attempt > 1 ? t("progress.attempt", { n: job.attempt }) : ""
  const again = job.state === "failed" || job.state === "canceled"
  return (
    <div className={`group flex h-full items-center ${selected ? "bg-accent-soft" : "hover:bg-sunken"}`}>
      <button type="button" data-row aria-current={selected ? "true" : undefined} title={[prompt, why, ...job.notices.map((n) => noticeWords(n))].filter(Boolean).join("\n")}
        onClick={() => select(job)}
        className="flex h-full min-w-0 flex-1 items-center gap-3 px-3 text-left outline-offset-[-2px]">
        <Picture src={thumbUrl(job)} alt="" lazy className="size-14 shrink-0 rounded-md bg-sunken object-cover" />
        <span className="min-w-0 flex-1">
          <span className={`leading-snug ${why ? "line-clamp-1" : "line-clamp-2"}`}>{prompt}</span>
          {why && <span className="line-clamp-1 text-xs text-bad">{why}</span>}
          <span className="flex items-center gap-2 text-xs text-muted tabular-nums">
            <span className={`min-w-0 truncate ${tones[job.state] ?? ""}`}>{word}{isActive(job) && <Percent job={job.id} />}</span>
            {tries && <span className="shrink-0 text-warn">{tries}</span>}
            {job.starred && <Icon name="starred" className="size-3 text-accent" />}
            <time dateTime={job.created_at} className="shrink-0">{clock(job.created_at)}</time>
          </span>
        </span>
      </button>
      <span className="grid grid-cols-2 pr-1.5 opacity-0 group-focus-within:opacity-100 group-hover:opacity-100 [@media(hover:none)]:opacity-100">
        {job.trashed_at ? (
          <>
            <IconButton label={t("history.restore", { prompt })} icon="retry" className="!size-7" onClick={() => void restore([job])} />
            <RemoveButton job={job} />
          </>
        ) : (
          <>
            <IconButton label={t(job.starred ? "history.unstar" : "history.star", { prompt })} icon={job.starred ? "starred" : "star"} className="!size-7"
              onClick={() => void star(job)} />
            <IconButton label={t("history.duplicate", { prompt })} icon="copy" className="!size-7" onClick={() => void duplicate(job, false)} />
            {again && <IconButton label={t("history.retry", { prompt })} icon="retry" className="!size-7" onClick={() => void retry(job.id)} />}
            {hasEnded(job) && <IconButton label={t("history.remove", { prompt })} icon="trash" className="!size-7" onClick={() => void discard([job])} />}
          </>
        )}
      </span>
    </div>
  )
}

/** Out of the trash nothing comes back: the first press asks, the second removes. */
function RemoveButton({ job }: { job: Job }) {
  const [asking, setAsking] = useState(false)
  useEffect(() => {
    if (!asking) return
    const timer = setTimeout(() => setAsking(false), sureFor_ms)
    return () => clearTimeout(timer)
  }, [asking])
  const label = asking ? t("action.remove.sure") : t("history.remove.final", { prompt: job.recipe.prompt })
  return (
    <IconButton label={label} icon="trash" className={`!size-7 ${asking ? "!bg-bad-soft !text-bad" : ""}`}
      onBlur={() => setAsking(false)} onClick={() => (asking ? void removeForGood(job.id) : setAsking(true))} />
  )
}

function Percent({ job }: { job: string }) {
  const text = useRef<HTMLSpanElement>(null)
  useEffect(
    () => progressBook.watch(job, (p) => {
      if (text.current) text.current.textContent = ` ${t("progress.percent", { percent: percent(p.percent) })}`
    }),
    [job],
  )
  return <span ref={text} />
}
