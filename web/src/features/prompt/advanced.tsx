import { useId, type ReactNode } from "react"
import type { ModelView } from "../../api/gen/qie"
import { t } from "../../lib/i18n"
import { defaults, type Settings } from "../../lib/recipe"
import { useUi } from "../../lib/ui-store"
import { Button } from "../../ui/button"
import { LoRAs } from "./loras"
import { Seed } from "./seed"

const standard = (value: number) => t("advanced.default", { value })
const set = (change: Partial<Settings>) => useUi.setState((ui) => ({ settings: { ...ui.settings, ...change } }))

/** What most edits never need. An empty field is the model's default, and says which that is. */
export function Advanced({ model }: { model: ModelView }) {
  const s = useUi((ui) => ui.settings)
  const preset = model.presets.find((p) => p.name === s.preset)
  return (
    <div id="settings" className="grid grid-cols-2 gap-x-4 gap-y-3 rounded-lg border border-line bg-paper p-3 sm:grid-cols-4">
      <Field label={t("advanced.steps")}>
        {(id) => <input id={id} type="number" inputMode="numeric" min={1} max={100} value={s.steps} className="field"
          placeholder={standard(preset?.steps ?? model.default_steps)} onChange={(e) => set({ steps: e.target.value })} />}
      </Field>
      <Field label={t("advanced.cfg")}>
        {(id) => <input id={id} type="number" inputMode="decimal" min={1} max={20} step={0.5} value={s.cfg} className="field"
          placeholder={standard(model.default_true_cfg_scale)} onChange={(e) => set({ cfg: e.target.value })} />}
      </Field>
      <Field label={t("advanced.seed")}>
        {(id) => <Seed id={id} />}
      </Field>
      <Field label={t("advanced.size")}>
        {(id) => (
          <select id={id} value={s.size} className="field" onChange={(e) => set({ size: e.target.value === "custom" ? "custom" : "auto" })}>
            <option value="auto">{t("advanced.size.auto")}</option>
            <option value="custom">{t("advanced.size.custom")}</option>
          </select>
        )}
      </Field>
      {s.size === "custom" && (
        <div className="col-span-2 flex items-center gap-2 sm:col-start-3">
          <input type="number" aria-label={t("advanced.width")} min={64} max={8192} value={s.width} className="field"
            onChange={(e) => set({ width: e.target.value })} />
          <span aria-hidden="true">×</span>
          <input type="number" aria-label={t("advanced.height")} min={64} max={8192} value={s.height} className="field"
            onChange={(e) => set({ height: e.target.value })} />
        </div>
      )}
      {(model.loras.length > 0 || Object.keys(s.loras).length > 0) && <LoRAs offered={model.loras} />}
      <div className="col-span-full">
        <Field label={t("advanced.negative")} help={t("advanced.negative.help")}>
          {(id) => <input id={id} type="text" value={s.negative} className="field" aria-describedby={`${id}-help`}
            onChange={(e) => set({ negative: e.target.value })} />}
        </Field>
      </div>
      <div className="col-span-full flex items-center justify-between gap-4">
        <p className="text-xs text-muted">{t("advanced.steps.more")}</p>
        <Button look="quiet" disabled={s === defaults} onClick={() => useUi.setState({ settings: defaults })}>{t("advanced.reset")}</Button>
      </div>
    </div>
  )
}

type FieldProps = { label: string; help?: string; children: (id: string) => ReactNode }

function Field({ label, help, children }: FieldProps) {
  const id = useId()
  return (
    <div className="space-y-1">
      <label htmlFor={id} className="block text-xs text-muted">{label}</label>
      {children(id)}
      {help && <p id={`${id}-help`} className="text-xs text-muted">{help}</p>}
    </div>
  )
}
