import { t } from "../../lib/i18n"
import { useUi } from "../../lib/ui-store"

const choices = [1, 2, 4] as const

/** How many pictures one press gives, each with a seed of its own. */
export function Copies() {
  const copies = useUi((ui) => ui.copies)
  return (
    <select aria-label={t("copies.label")} value={copies} className="field !h-7 !w-auto !text-xs"
      onChange={(e) => useUi.setState({ copies: choices.find((n) => n === Number(e.target.value)) ?? 1 })}>
      {choices.map((n) => <option key={n} value={n}>{n === 1 ? t("copies.one") : t("copies.many", { n })}</option>)}
    </select>
  )
}
