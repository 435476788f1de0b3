import { useVirtualizer } from "@tanstack/react-virtual"
import { useDeferredValue, useEffect, useMemo, useRef } from "react"
import { t } from "../../lib/i18n"
import { useUi } from "../../lib/ui-store"
import { mergeJobs, useBoard, useHistory } from "../../live/board"
import { QueueLine } from "./queue-line"
import { HistoryItem } from "./history-item"

const rowHeight_px = 76

/** Every job, newest first. Only the rows in sight exist; older pages are fetched as they come near. */
export function History() {
  const search = useUi((ui) => ui.search)
  const selected = useUi((ui) => ui.selected)
  const q = useDeferredValue(search.trim())
  const live = useBoard((board) => board.jobs)
  const { data, hasNextPage, isFetchingNextPage, fetchNextPage, isError } = useHistory(q)
  const jobs = useMemo(() => mergeJobs(live ?? {}, data?.pages.flatMap((page) => page.jobs) ?? [], q), [live, data, q])
  const box = useRef<HTMLDivElement>(null)
  const rows = useVirtualizer({
    count: jobs.length,
    getScrollElement: () => box.current,
    estimateSize: () => rowHeight_px,
    getItemKey: (i) => jobs[i]?.id ?? i,
    overscan: 6,
  })
  const items = rows.getVirtualItems()
  const last = items.at(-1)?.index ?? -1
  useEffect(() => {
    if (last >= jobs.length - 5 && hasNextPage && !isFetchingNextPage) void fetchNextPage()
  }, [last, jobs.length, hasNextPage, isFetchingNextPage, fetchNextPage])
  const empty = live !== null && jobs.length === 0
  return (
    <aside aria-label={t("history.title")} className="flex h-96 shrink-0 flex-col border-line bg-raised max-lg:border-t lg:h-auto lg:w-80 lg:border-l">
      <div className="flex items-center gap-3 border-b border-line px-3 py-2">
        <h2 className="text-sm font-semibold">{t("history.title")}</h2>
        <input id="history-search" type="search" value={search} aria-label={t("history.search")} placeholder={t("history.search")}
          onChange={(e) => useUi.setState({ search: e.target.value })} className="field ml-auto max-w-44" />
      </div>
      <QueueLine />
      {isError && <p role="status" className="px-3 py-2 text-bad">{t("history.failed")}</p>}
      {empty && <p className="px-3 py-6 text-center text-muted">{q ? t("history.none") : t("history.empty")}</p>}
      <div ref={box} className="min-h-0 flex-1 overflow-y-auto" tabIndex={jobs.length > 0 ? undefined : -1}>
        {/* oxlint-disable-next-line jsx-a11y/no-noninteractive-element-interactions -- the rows hold the focus, the list hears their arrow keys */}
        <ul className="relative" style={{ height: rows.getTotalSize() }} onKeyDown={moveFocus}>
          {items.map((row) => {
            const job = jobs[row.index]
            return job && (
              <li key={job.id} data-testid="history-item" data-job-id={job.id} data-state={job.state}
                className="absolute inset-x-0 top-0 border-b border-line" style={{ height: row.size, transform: `translateY(${row.start}px)` }}>
                <HistoryItem job={job} selected={job.id === selected} />
              </li>
            )
          })}
        </ul>
        {isFetchingNextPage && <p className="py-2 text-center text-muted">{t("history.loading")}</p>}
      </div>
    </aside>
  )
}

/** Arrow keys walk the rows. */
function moveFocus(e: React.KeyboardEvent<HTMLUListElement>): void {
  if (e.key !== "ArrowDown" && e.key !== "ArrowUp") return
  const all = [...e.currentTarget.querySelectorAll<HTMLElement>("[data-row]")]
    .toSorted((a, b) => a.getBoundingClientRect().top - b.getBoundingClientRect().top)
  const i = all.findIndex((row) => row.parentElement?.contains(document.activeElement))
  const next = all[i + (e.key === "ArrowDown" ? 1 : -1)]
  if (!next) return
  e.preventDefault()
  next.focus()
  next.scrollIntoView({ block: "nearest" })
}
