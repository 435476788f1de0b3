import { t } from "../../lib/i18n"
import { useUi } from "../../lib/ui-store"
import { lockSeed, newSeed } from "../../actions/commands"
import { IconButton } from "../../ui/button"

/** The seed: random until it is locked. Locked on a result it is the result's own, so that the next edit differs by its words only. */
export function Seed({ id }: { id: string }) {
  const seed = useUi((ui) => ui.settings.seed)
  const locked = seed !== ""
  return (
    <div className="flex gap-1">
      <input id={id} type="number" inputMode="numeric" min={0} max={Number.MAX_SAFE_INTEGER} value={seed} className="field min-w-0"
        placeholder={t("advanced.seed.random")} onChange={(e) => useUi.setState((ui) => ({ settings: { ...ui.settings, seed: e.target.value } }))} />
      <IconButton icon="lock" label={locked ? t("seed.unlock") : t("seed.lock")} aria-pressed={locked} className={locked ? "!bg-accent-soft" : ""} onClick={lockSeed} />
      <IconButton icon="dice" label={t("seed.new")} onClick={newSeed} />
    </div>
  )
}
