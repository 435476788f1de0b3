import { t } from "../../lib/i18n"
import { useUi } from "../../lib/ui-store"
import { useJob } from "../../live/board"
import { Chip } from "../../ui/chip"

/** What the gallery is narrowed to: words, stars, one photo, or the trash. */
export function Filters() {
  const { search, starred, trashed, photo, selected } = useUi()
  const { job } = useJob(selected)
  const here = photo || job?.photo || ""
  return (
    <div className="space-y-2 border-b border-line px-3 py-2">
      <input id="history-search" type="search" value={search} aria-label={t("history.search")} placeholder={t("history.search")}
        onChange={(e) => useUi.setState({ search: e.target.value })} className="field" />
      <div className="flex flex-wrap gap-1.5" role="group" aria-label={t("filter.label")}>
        <Chip pressed={starred} onClick={() => useUi.setState({ starred: !starred })}>{t("filter.starred")}</Chip>
        {here && <Chip pressed={photo !== ""} onClick={() => useUi.setState({ photo: photo ? "" : here })}>{t("filter.photo")}</Chip>}
        <Chip pressed={trashed} onClick={() => useUi.setState({ trashed: !trashed })}>{t("filter.trash")}</Chip>
      </div>
    </div>
  )
}
