import type { ReactNode } from "react"
import type { ModelView } from "../../api/gen/qie"
import { guidanceOn, negativeIsIdle } from "../../lib/cautions"
import { t } from "../../lib/i18n"
import type { Settings } from "../../lib/recipe"
import { useUi } from "../../lib/ui-store"
import { Button } from "../../ui/button"
import { Icon } from "../../ui/icons"

const set = (change: Partial<Settings>) => useUi.setState((ui) => ({ settings: { ...ui.settings, ...change } }))

/** What will not work as it is set, with the press that makes it work. */
export function Cautions({ model }: { model: ModelView }) {
  const settings = useUi((ui) => ui.settings)
  if (!negativeIsIdle(settings, model)) return null
  const value = guidanceOn(model)
  return (
    <Caution id="negative-idle" words={t("caution.negative")}>
      <Button onClick={() => set({ cfg: String(value) })}>{t("caution.negative.on", { value })}</Button>
      <Button onClick={() => set({ negative: "" })}>{t("caution.negative.clear")}</Button>
    </Caution>
  )
}

type CautionProps = { id: string; words: string; children: ReactNode }

export function Caution({ id, words, children }: CautionProps) {
  return (
    <div role="status" data-testid={id} className="flex flex-wrap items-center gap-x-3 gap-y-2 rounded-lg border border-line bg-warn-soft px-3 py-1.5">
      <p className="flex min-w-48 flex-1 items-start gap-2"><Icon name="info" className="mt-0.5" />{words}</p>
      {children}
    </div>
  )
}
