import { t } from "../../lib/i18n"
import { useCatalogue } from "../../live/catalogue"
import { DownloadLine } from "./download-line"

/** What can be fetched, with licence and fit. GGUF files are for other programs and are left to the command line. */
export function Catalogue() {
  const entries = useCatalogue().filter((e) => e.kind !== "gguf")
  if (entries.length === 0) return null
  return (
    <section data-testid="catalogue">
      <h3 className="mb-1 text-xs font-medium text-muted">{t("model.catalogue")}</h3>
      <ul className="space-y-2">
        {entries.map((entry) => (
          <li key={entry.id} className={entry.kind === "lora" ? "ml-4" : ""}>
            <DownloadLine entry={entry} />
            {entry.kind === "model" && <p className="text-xs text-muted">{t("model.terms", { licence: entry.licence, fit: entry.fit.reason })}</p>}
          </li>
        ))}
      </ul>
    </section>
  )
}
