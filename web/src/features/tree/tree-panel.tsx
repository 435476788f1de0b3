import { useVirtualizer } from "@tanstack/react-virtual"
import { useEffect, useMemo, useRef } from "react"
import { select, showPhoto } from "../../actions/commands"
import { sourceThumbUrl, thumbUrl } from "../../lib/addresses"
import { known, t } from "../../lib/i18n"
import { moveFocus } from "../../lib/rows"
import { linesOf } from "../../lib/tree"
import { useUi } from "../../lib/ui-store"
import { useJob } from "../../live/board"
import { useGrove } from "../../live/trees"
import { Icon } from "../../ui/icons"
import { Picture } from "../../ui/picture"

const rowHeight_px = 52
const step_px = 16
/** Deeper edits stand below each other. */
const deepest = 9

/** Every edit of the photo on the stage, each under what it was made from. */
export function TreePanel() {
  const { selected, root } = useUi()
  const { job } = useJob(selected ?? root?.job ?? null)
  const { tree, jobs } = useGrove(job?.photo ?? "")
  const lines = useMemo(() => linesOf(tree), [tree])
  const box = useRef<HTMLDivElement>(null)
  const rows = useVirtualizer({ count: lines.length + 1, getScrollElement: () => box.current, estimateSize: () => rowHeight_px, overscan: 6 })
  const at = lines.findIndex((line) => line.id === selected) + 1
  useEffect(() => rows.scrollToIndex(at, { align: "auto" }), [rows, at])
  if (!job?.photo) return <p className="px-3 py-6 text-center text-muted">{t("tree.none")}</p>
  const first = jobs.get(lines[0]?.id ?? "") ?? job
  return (
    <div ref={box} data-testid="tree" className="min-h-0 flex-1 overflow-y-auto">
      {/* oxlint-disable-next-line jsx-a11y/no-noninteractive-element-interactions -- the rows hold the focus, the list hears their arrow keys */}
      <ul aria-label={t("tree.title")} className="relative" style={{ height: rows.getTotalSize() }} onKeyDown={moveFocus}>
        {rows.getVirtualItems().map((row) => {
          const line = lines[row.index - 1]
          const node = line && jobs.get(line.id)
          if (line && !node) return null
          const current = node ? node.id === selected : selected === null
          const word = node && node.state !== "succeeded" ? (known(`state.${node.state}`) ?? node.state) : ""
          return (
            <li key={node?.id ?? "photo"} data-testid="tree-node" data-job-id={node?.id} data-depth={line?.depth ?? 0} className="absolute inset-x-0 top-0"
              style={{ height: row.size, transform: `translateY(${row.start}px)` }}>
              <button type="button" data-row aria-current={current ? "true" : undefined} title={node?.recipe.prompt}
                onClick={() => (node ? select(node) : void showPhoto(job))}
                className={`flex size-full items-center gap-2.5 pr-3 text-left outline-offset-[-2px] ${current ? "bg-accent-soft" : "hover:bg-sunken"}`}
                style={{ paddingLeft: 12 + Math.min(line?.depth ?? 0, deepest) * step_px }}>
                {node && <span aria-hidden="true" className="h-full border-l border-line-strong" />}
                <Picture src={node ? thumbUrl(node) : sourceThumbUrl(first)} alt="" lazy className="size-10 shrink-0 rounded bg-sunken object-cover" />
                <span className="min-w-0 flex-1">
                  <span className="line-clamp-2 text-xs leading-snug">{node ? node.recipe.prompt : t("tree.photo")}</span>
                  {word && <span className="text-xs text-muted">{word}</span>}
                </span>
                {node?.starred && <Icon name="starred" className="size-3.5 text-accent" />}
              </button>
            </li>
          )
        })}
      </ul>
    </div>
  )
}
