import { fetchModel, pauseFetch } from "../../actions/commands"
import type { CatalogueEntry, ModelProgress } from "../../api/gen/qie"
import { downloadWords, runs, share } from "../../lib/download"
import { t } from "../../lib/i18n"
import { useBoard } from "../../live/board"
import { Button } from "../../ui/button"

/** useProgress is the newest that is known of a download: the live one, else what the list said. */
export function useProgress(entry: CatalogueEntry): ModelProgress {
  return useBoard((board) => board.downloads.find((d) => d.id === entry.id) ?? null) ?? entry.progress
}

/** A download with its bar, its words, and the one thing that can be done with it. */
export function DownloadLine({ entry, note }: { entry: CatalogueEntry; note?: string }) {
  const p = useProgress(entry)
  const begun = p.state !== "absent"
  return (
    <div className="flex min-w-0 flex-1 flex-wrap items-center gap-x-3 gap-y-1" data-testid="download" data-state={p.state}>
      <span className="min-w-40 flex-1">
        <span className="block">{entry.name}</span>
        <span className={`block text-xs tabular-nums ${p.state === "failed" ? "text-bad" : "text-muted"}`} role="status">{downloadWords(p)}</span>
        {note && <span className="block text-xs text-muted">{note}</span>}
        {p.error?.hint && <span className="block text-xs text-muted">{p.error.hint}</span>}
        {begun && p.state !== "complete" && (
          <span role="progressbar" aria-label={t("model.progress", { name: entry.name })} aria-valuemin={0} aria-valuemax={100} aria-valuenow={share(p)}
            className="mt-1 block h-1 overflow-hidden rounded-full bg-line">
            <span className="block h-full bg-accent" style={{ width: `${share(p)}%` }} />
          </span>
        )}
      </span>
      {runs(p) && <Button icon="stop" onClick={() => void pauseFetch(entry.id)}>{t("model.pause")}</Button>}
      {!runs(p) && p.state !== "complete" && (
        <Button icon={begun ? "retry" : "download"} onClick={() => void fetchModel(entry.id)}>{begun ? t("model.resume") : t("model.get")}</Button>
      )}
    </div>
  )
}
