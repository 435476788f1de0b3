import { useState } from "react"
import { t } from "../../lib/i18n"
import { useBoard } from "../../live/board"
import { useCatalogue } from "../../live/catalogue"
import { IconButton } from "../../ui/button"
import { Icon } from "../../ui/icons"
import { DownloadLine, useProgress } from "./download-line"
import type { CatalogueEntry } from "../../api/gen/qie"

/** While the demo serves: the way to the full model, where this machine can run it or it is on its way already. */
export function GetModelCard() {
  const demo = useBoard((board) => board.model.id === "demo")
  const entry = useCatalogue().find((e) => e.default)
  return demo && entry ? <Card entry={entry} /> : null
}

function Card({ entry }: { entry: CatalogueEntry }) {
  const [hidden, setHidden] = useState(false)
  const p = useProgress(entry)
  if (hidden || p.state === "complete" || (p.state === "absent" && !entry.fit.ok)) return null
  return (
    <aside aria-label={t("model.full")} data-testid="get-model" className="flex items-center gap-3 border-b border-line bg-sunken px-4 py-2">
      <Icon name="chip" className="size-4" />
      <DownloadLine entry={entry} note={p.state === "absent" ? t("model.offer", { licence: entry.licence }) : ""} />
      <IconButton icon="close" label={t("model.hide")} onClick={() => setHidden(true)} />
    </aside>
  )
}
