import type { KeyboardEvent } from "react"
import { discard, select } from "../../actions/commands"
import type { Job } from "../../api/gen/qie"
import { thumbUrl } from "../../lib/addresses"
import { t } from "../../lib/i18n"
import { variationsOf, type Tree } from "../../lib/tree"
import { hasEnded } from "../../live/progress"
import { Button } from "../../ui/button"
import { Picture } from "../../ui/picture"

type Props = { job: Job; tree: Tree; jobs: ReadonlyMap<string, Job> }

/** The edits that asked the same of the same picture, side by side; nothing shows while there is one only. */
export function Tray({ job, tree, jobs }: Props) {
  const all = variationsOf(tree, job.id).flatMap((id) => jobs.get(id) ?? [])
  if (all.length < 2) return null
  const others = all.filter((other) => other.id !== job.id && hasEnded(other))
  const walk = (e: KeyboardEvent) => {
    const by = e.key === "ArrowRight" ? 1 : e.key === "ArrowLeft" ? -1 : 0
    const next = all[all.findIndex((other) => other.id === job.id) + by]
    if (by === 0 || !next) return
    e.preventDefault()
    select(next)
    document.getElementById(`variation-${next.id}`)?.focus()
  }
  return (
    <div data-testid="tray" className="flex items-center gap-3 border-b border-line px-4 py-2">
      {/* oxlint-disable-next-line jsx-a11y/no-noninteractive-element-interactions -- the pictures hold the focus, the group hears their arrow keys */}
      <div role="group" aria-label={t("tray.title")} className="flex min-w-0 flex-1 gap-2 overflow-x-auto p-0.5" onKeyDown={walk}>
        {all.map((other, i) => (
          <button key={other.id} type="button" id={`variation-${other.id}`} data-testid="variation" data-state={other.state}
            aria-label={t("tray.one", { n: i + 1, of: all.length })} aria-pressed={other.id === job.id} onClick={() => select(other)}
            className={`size-14 shrink-0 overflow-hidden rounded-md outline-2 outline-offset-1 ${other.id === job.id ? "outline-accent" : "outline-transparent"} ${other.result ? "" : "opacity-50"}`}>
            <Picture src={thumbUrl(other)} alt="" className="size-full bg-sunken object-cover" />
          </button>
        ))}
      </div>
      {job.result && others.length > 0 && <Button onClick={() => void discard(others)}>{t("tray.keep")}</Button>}
    </div>
  )
}
