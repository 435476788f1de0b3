import type { CatalogueEntry } from "../../api/gen/qie"
import { t } from "../../lib/i18n"
import { useCatalogue } from "../../live/catalogue"
import { DownloadLine } from "./download-line"

/** What can be fetched, with licence and fit. GGUF files are for other programs and are left to the command line. */
export function Catalogue() {
  const entries = useCatalogue().filter((e) => e.kind !== "gguf")
  const best = entries.find((e) => e.default)?.id
  const first = (e: CatalogueEntry): boolean => e.id === best || e.base === best || e.progress.state !== "absent"
  const rest = entries.filter((e) => !first(e))
  if (entries.length === 0) return null
  return (
    <section data-testid="catalogue">
      <h3 className="mb-1 text-xs font-medium text-muted">{t("model.catalogue")}</h3>
      <Entries of={entries.filter(first)} />
      {rest.length > 0 && (
        <details className="mt-2">
          <summary className="cursor-pointer text-xs text-muted">{t("model.more", { n: rest.length })}</summary>
          <div className="mt-2"><Entries of={rest} /></div>
        </details>
      )}
    </section>
  )
}

function Entries({ of }: { of: readonly CatalogueEntry[] }) {
  return (
    <ul className="space-y-2">
      {of.map((entry) => (
        <li key={entry.id} className={entry.kind === "lora" ? "ml-4" : ""}>
          <DownloadLine entry={entry} note={entry.kind === "model" ? t("model.terms", { licence: entry.licence, fit: entry.fit.reason }) : ""} />
        </li>
      ))}
    </ul>
  )
}
