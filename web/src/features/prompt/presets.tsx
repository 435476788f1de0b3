import type { ModelView } from "../../api/gen/qie"
import { capital } from "../../lib/errors"
import { takes } from "../../lib/format"
import { known, t } from "../../lib/i18n"
import { useUi } from "../../lib/ui-store"
import { Chip } from "../../ui/chip"

const set = (preset: string) => useUi.setState((ui) => ({ settings: { ...ui.settings, preset } }))

/** How an edit can run: by name, by what it does, and by what it takes on this machine once that was measured. */
export function Presets({ model }: { model: ModelView }) {
  const chosen = useUi((ui) => ui.settings.preset)
  const plain = { name: "", steps: model.default_steps, takes_s: model.takes_s }
  if (model.presets.length === 0 && !model.takes_s) return null
  return (
    <ul className="flex flex-wrap gap-1.5" aria-label={t("presets.label")} data-testid="presets">
      {[plain, ...model.presets].map(({ name, steps, takes_s }) => {
        const time = takes(takes_s)
        const words = name === "" ? t("presets.standard") : (known(`preset.${name}`) ?? capital(name))
        return (
          <li key={name}>
            <Chip pressed={chosen === name} title={t("presets.does", { n: steps })} onClick={() => set(name)}>
              {words}<span className="text-muted"> · {time || t("presets.steps", { n: steps })}</span>
            </Chip>
          </li>
        )
      })}
    </ul>
  )
}
