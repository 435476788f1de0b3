import { t } from "../../lib/i18n"
import { useUi } from "../../lib/ui-store"
import { useJob } from "../../live/board"
import { Chip } from "../../ui/chip"

/** With a result on the stage, that is what is edited next; the photo in the slots is one press away. */
export function BaseLine() {
  const { selected, from, sources } = useUi()
  const { job } = useJob(selected)
  if (!job?.result || sources.length === 0) return null
  return (
    <div className="flex items-center gap-1.5 text-xs text-muted" role="group" aria-label={t("base.label")} data-testid="base">
      <span aria-hidden="true">{t("base.label")}</span>
      <Chip pressed={from === "result"} onClick={() => useUi.setState({ from: "result" })}>{t("base.result")}</Chip>
      <Chip pressed={from === "photo"} onClick={() => useUi.setState({ from: "photo" })}>{t("base.photo")}</Chip>
    </div>
  )
}
