import { useState, type ReactNode } from "react"
import { chooseEdit } from "../../actions/commands"
import { useSituation } from "../../actions/use-situation"
import type { KnownEdit, ModelView } from "../../api/gen/qie"
import { capital } from "../../lib/errors"
import { known, t } from "../../lib/i18n"
import { grouped, offered, picturesOf, rowLength } from "../../lib/known-edits"
import { useUi } from "../../lib/ui-store"
import { Chip } from "../../ui/chip"

/** What the model was trained for: a row of them, and all of them by group. */
export function KnownEdits({ model }: { model: ModelView }) {
  const [all, setAll] = useState(false)
  const edits = offered(model.known_edits, model.max_images)
  const groups = grouped(edits)
  const hidden = edits.length - rowLength
  if (edits.length === 0) return null
  const more = hidden > 0 && (
    <button type="button" aria-expanded={all} onClick={() => setAll(!all)} className="h-7 rounded-full px-2.5 text-xs whitespace-nowrap text-muted hover:text-ink">
      {all ? t("prompt.fewer") : t("prompt.more", { n: hidden })}
    </button>
  )
  if (!all) {
    return (
      <div data-testid="known-edits">
        <Row edits={edits.slice(0, rowLength)} label={t("prompt.known")} className="sm:flex-wrap max-sm:overflow-x-auto">{more && <li>{more}</li>}</Row>
      </div>
    )
  }
  return (
    <div className="space-y-2" data-testid="known-edits" data-open>
      <div className="space-y-2 lg:max-h-[34dvh] lg:overflow-y-auto" role="group" aria-label={t("prompt.known")}>
        {groups.map(({ name, edits: members }) => {
          const label = name ? (known(`edits.${name}`) ?? capital(name)) : t("edits.other")
          return (
            <div key={name} className="gap-3 sm:flex">
              {groups.length > 1 && <p aria-hidden="true" className="w-24 shrink-0 pb-1 text-xs leading-7 text-muted sm:pb-0">{label}</p>}
              <Row edits={members} label={label} className="flex-wrap" />
            </div>
          )
        })}
      </div>
      {more}
    </div>
  )
}

type RowProps = { edits: readonly KnownEdit[]; label: string; className: string; children?: ReactNode }

function Row({ edits, label, className, children }: RowProps) {
  const prompt = useUi((ui) => ui.prompt)
  const photos = useSituation().sources
  return (
    <ul className={`flex gap-1.5 ${className}`} aria-label={label}>
      {edits.map((edit) => {
        const needs = picturesOf(edit)
        return (
          <li key={edit.prompt}>
            <Chip title={edit.prompt} pressed={prompt === edit.prompt} onClick={() => chooseEdit(edit)}>
              {edit.label}
              {needs > Math.max(1, photos) && <span className="text-muted"> · {t("prompt.needs", { n: needs })}</span>}
            </Chip>
          </li>
        )
      })}
      {children}
    </ul>
  )
}
