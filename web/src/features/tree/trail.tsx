import { useEffect, useRef } from "react"
import { select, showPhoto } from "../../actions/commands"
import { again, download, editResult, retry } from "../../actions/result"
import { discard, duplicate, moreLike, redo, star, undo } from "../../actions/tree"
import { tree as showTree } from "../../actions/view"
import type { Job } from "../../api/gen/qie"
import { sourceThumbUrl, thumbUrl } from "../../lib/addresses"
import { t } from "../../lib/i18n"
import { lineOf } from "../../lib/tree"
import { useUi } from "../../lib/ui-store"
import { useJob } from "../../live/board"
import { useGrove } from "../../live/trees"
import { ActionMenu } from "../../ui/action-menu"
import { ActionButton } from "../../ui/button"
import { Picture } from "../../ui/picture"
import { Tray } from "./tray"

const menu = [undo, redo, editResult, again, retry, moreLike, duplicate, star, download, discard, showTree]

/** Under the stage: the way from the photo to what is shown, and what can be done with it. */
export function Trail() {
  const { selected, root, sources } = useUi()
  const behind = selected === null && root && sources[0]?.id === root.source ? root.job : null
  const { job } = useJob(selected ?? behind)
  if (!job?.photo) return null
  return <TrailOf job={job} atPhoto={selected === null} />
}

function TrailOf({ job, atPhoto }: { job: Job; atPhoto: boolean }) {
  const { tree, jobs } = useGrove(job.photo ?? "")
  const line = lineOf(tree, job.id).flatMap((id) => jobs.get(id) ?? [])
  const first = line[0] ?? job
  const way = useRef<HTMLElement>(null)
  const shown = atPhoto ? 0 : line.length
  useEffect(() => {
    if (way.current) way.current.scrollLeft = shown * way.current.scrollWidth // the browser stops at the end
  }, [shown])
  return (
    <div className="shrink-0 border-t border-line bg-raised" data-testid="trail">
      {!atPhoto && <Tray job={job} tree={tree} jobs={jobs} />}
      <div className="flex items-center gap-2 px-4 py-1.5">
        <ActionButton action={undo} icon="undo" iconOnly className="!size-7" />
        <ActionButton action={redo} icon="redo" iconOnly className="!size-7" />
        <nav ref={way} aria-label={t("tree.trail")} className="min-w-0 flex-1 overflow-x-auto">
          <ol className="flex items-center gap-1">
            <Step name={t("tree.photo")} picture={sourceThumbUrl(first)} current={atPhoto} onClick={() => void showPhoto(job)} />
            {line.map((node) => (
              <Step key={node.id} name={node.recipe.prompt} picture={thumbUrl(node)} current={!atPhoto && node.id === job.id} follows onClick={() => select(node)} />
            ))}
          </ol>
        </nav>
        {!atPhoto && (
          <div className="flex shrink-0">
            <ActionButton action={star} icon={job.starred ? "starred" : "star"} iconOnly className="!size-7" pressed={job.starred ?? false} />
            <ActionButton action={moreLike} icon="dice" iconOnly className="!size-7" />
            <ActionButton action={discard} icon="trash" iconOnly className="!size-7" />
            <ActionMenu label={t("action.more")} actions={menu} />
          </div>
        )}
      </div>
    </div>
  )
}

type StepProps = { name: string; picture: string; current: boolean; follows?: boolean; onClick: () => void }

function Step({ name, picture, current, follows = false, onClick }: StepProps) {
  return (
    <li className="flex shrink-0 items-center gap-1">
      {follows && <span aria-hidden="true" className="text-muted">›</span>}
      <button type="button" title={name} aria-current={current ? "step" : undefined} onClick={onClick}
        className={`flex h-8 max-w-40 items-center gap-1.5 rounded-md pr-2 pl-1 text-xs ${current ? "bg-accent-soft" : "hover:bg-sunken"}`}>
        <Picture src={picture} alt="" className="size-6 shrink-0 rounded bg-sunken object-cover" />
        <span className="truncate">{name}</span>
      </button>
    </li>
  )
}
