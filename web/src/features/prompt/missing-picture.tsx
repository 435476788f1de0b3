import { pickFiles } from "../../actions/commands"
import { useSituation } from "../../actions/use-situation"
import type { ModelView } from "../../api/gen/qie"
import { t } from "../../lib/i18n"
import { wanted } from "../../lib/known-edits"
import { useUi } from "../../lib/ui-store"
import { Button } from "../../ui/button"
import { Caution } from "./cautions"

/** A sentence that speaks of a photo that is not there would give a picture that nobody asked for. */
export function MissingPicture({ model }: { model: ModelView }) {
  const prompt = useUi((ui) => ui.prompt)
  const have = useSituation().sources
  const n = wanted(prompt, model.known_edits)
  const slots = model.max_images
  if (n < 2 || n <= have) return null
  return (
    <Caution id="missing-picture" words={n > slots ? t("prompt.too-many", { n, slots }) : t("prompt.missing", { n, have })}>
      {n <= slots && <Button icon="plus" onClick={pickFiles}>{t("prompt.missing.add", { n: have + 1 })}</Button>}
    </Caution>
  )
}
