import { useVirtualizer } from "@tanstack/react-virtual"
import { useDeferredValue, useEffect, useMemo, useRef } from "react"
import { byDay } from "../../lib/days"
import type { Filter } from "../../lib/filter"
import { t } from "../../lib/i18n"
import { moveFocus } from "../../lib/rows"
import { useUi } from "../../lib/ui-store"
import { mergeJobs, useBoard, useHistory } from "../../live/board"
import { Filters } from "./filters"
import { GalleryItem } from "./gallery-item"

const rowHeight_px = 76
const dayHeight_px = 30

/** Every job, newest first, by day. Only the rows in sight exist; older pages are fetched as they come near. */
export function Gallery() {
  const { search, photo, starred, trashed } = useUi()
  const selected = useUi((ui) => ui.selected)
  const q = useDeferredValue(search.trim())
  const filter = useMemo<Filter>(() => ({ q, photo, starred, trashed }), [q, photo, starred, trashed])
  const live = useBoard((board) => board.jobs)
  const { data, hasNextPage, isFetchingNextPage, fetchNextPage, isError } = useHistory(filter)
  const entries = useMemo(() => byDay(mergeJobs(live ?? {}, data?.pages.flatMap((page) => page.jobs) ?? [], filter)), [live, data, filter])
  const box = useRef<HTMLDivElement>(null)
  const rows = useVirtualizer({
    count: entries.length,
    getScrollElement: () => box.current,
    estimateSize: (i) => (entries[i] && "day" in entries[i] ? dayHeight_px : rowHeight_px),
    getItemKey: (i) => { const e = entries[i]; return e ? ("day" in e ? e.day : e.job.id) : i },
    overscan: 6,
  })
  const items = rows.getVirtualItems()
  const last = items.at(-1)?.index ?? -1
  useEffect(() => {
    if (last >= entries.length - 20 && hasNextPage && !isFetchingNextPage) void fetchNextPage()
  }, [last, entries.length, hasNextPage, isFetchingNextPage, fetchNextPage])
  const empty = live !== null && data !== undefined && entries.length === 0
  const narrowed = q !== "" || photo !== "" || starred || trashed
  return (
    <>
      <Filters />
      {isError && <p role="status" className="px-3 py-2 text-bad">{t("history.failed")}</p>}
      {empty && <p className="px-3 py-6 text-center text-muted">{trashed ? t("trash.empty") : narrowed ? t("history.none") : t("history.empty")}</p>}
      <div ref={box} data-testid="gallery" className="min-h-0 flex-1 overflow-y-auto" tabIndex={entries.length > 0 ? undefined : -1}>
        {/* oxlint-disable-next-line jsx-a11y/no-noninteractive-element-interactions -- the rows hold the focus, the list hears their arrow keys */}
        <ul className="relative" style={{ height: rows.getTotalSize() }} onKeyDown={moveFocus}>
          {items.map((row) => {
            const entry = entries[row.index]
            if (!entry) return null
            const place = { height: row.size, transform: `translateY(${row.start}px)` }
            if ("day" in entry) {
              return (
                <li key={row.key} data-testid="gallery-day" className="absolute inset-x-0 top-0 flex items-end px-3 pb-1 text-xs font-medium text-muted" style={place}>
                  <h2>{entry.day}</h2>
                </li>
              )
            }
            const { job } = entry
            return (
              <li key={row.key} data-testid="history-item" data-job-id={job.id} data-state={job.state}
                className="absolute inset-x-0 top-0 border-b border-line" style={place}>
                <GalleryItem job={job} selected={job.id === selected} />
              </li>
            )
          })}
        </ul>
        {isFetchingNextPage && <p className="py-2 text-center text-muted">{t("history.loading")}</p>}
      </div>
    </>
  )
}
