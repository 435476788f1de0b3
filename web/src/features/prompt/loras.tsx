import type { LoRAView } from "../../api/gen/qie"
import { t } from "../../lib/i18n"
import { useUi } from "../../lib/ui-store"

const set = (loras: Readonly<Record<string, string>>) => useUi.setState((ui) => ({ settings: { ...ui.settings, loras } }))

type Props = { offered: readonly LoRAView[] }

/** Which LoRAs change the model for this edit, and how strongly. */
export function LoRAs({ offered }: Props) {
  const chosen = useUi((ui) => ui.settings.loras)
  // One that another model had stays visible, so that it can be taken out.
  const foreign = Object.keys(chosen).filter((id) => !offered.some((l) => l.id === id)).map((id) => ({ id, name: id, note: "" }))
  return (
    <fieldset className="col-span-full sm:col-span-3">
      <legend className="mb-1 text-xs text-muted">{t("advanced.loras")}</legend>
      <div className="flex min-h-8 flex-wrap items-center gap-x-4 gap-y-1.5">
        {[...offered, ...foreign].map(({ id, name, note }) => {
          const strength = chosen[id]
          return (
            <div key={id} className="flex h-8 items-center gap-2 text-sm">
              <label title={note} className="flex items-center gap-2">
                <input type="checkbox" checked={strength !== undefined} className="size-4 accent-(--accent)" onChange={(e) => {
                  const { [id]: _, ...others } = chosen
                  set(e.target.checked ? { ...chosen, [id]: "" } : others)
                }} />
                {name}
              </label>
              {strength !== undefined && (
                <input type="number" inputMode="decimal" aria-label={t("advanced.strength", { name })} min={0.1} max={2} step={0.1}
                  value={strength} placeholder="1" className="field !w-20" onChange={(e) => set({ ...chosen, [id]: e.target.value })} />
              )}
            </div>
          )
        })}
      </div>
    </fieldset>
  )
}
