import { pickFiles } from "../../actions/commands"
import type { ModelView } from "../../api/gen/qie"
import { t } from "../../lib/i18n"
import { wanted } from "../../lib/known-edits"
import { useUi } from "../../lib/ui-store"
import { Button } from "../../ui/button"
import { Icon } from "../../ui/icons"

/** A sentence that speaks of a photo that is not there would give a picture that nobody asked for. */
export function MissingPicture({ model }: { model: ModelView }) {
  const prompt = useUi((ui) => ui.prompt)
  const have = useUi((ui) => ui.sources.length)
  const n = wanted(prompt, model.known_edits)
  const slots = model.max_images
  if (n < 2 || n <= have) return null
  return (
    <div role="status" data-testid="missing-picture" className="flex flex-wrap items-center gap-x-3 gap-y-2 rounded-lg border border-line bg-warn-soft px-3 py-1.5">
      <p className="flex min-w-48 flex-1 items-start gap-2">
        <Icon name="info" className="mt-0.5" />
        {n > slots ? t("prompt.too-many", { n, slots }) : t("prompt.missing", { n, have })}
      </p>
      {n <= slots && <Button icon="plus" onClick={pickFiles}>{t("prompt.missing.add", { n: have + 1 })}</Button>}
    </div>
  )
}
