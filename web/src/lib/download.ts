import type { ModelProgress } from "../api/gen/qie"
import { bytes, percent, timeLeft } from "./format"
import { t } from "./i18n"

/** runs tells whether a download goes on by itself. */
export const runs = (p: ModelProgress): boolean => ["queued", "listing", "checking", "downloading", "waiting"].includes(p.state)

/** share of the bytes that are here and checked, 0 to 100. */
export const share = (p: ModelProgress): number => (p.bytes_total > 0 ? percent((100 * p.bytes_done) / p.bytes_total) : 0)

/** downloadWords says a download in one line: checked bytes, the speed of the last half minute, a range for the rest. */
export function downloadWords(p: ModelProgress): string {
  const amount = t("model.amount", { done: bytes(p.bytes_done), total: bytes(p.bytes_total) })
  switch (p.state) {
    case "absent":
      return t("model.size", { total: bytes(p.bytes_total) })
    case "complete":
      return t("model.here", { total: bytes(p.bytes_total) })
    case "queued":
      return t("model.queued")
    case "listing":
      return t("model.listing")
    case "checking":
      return `${amount} · ${t("model.checking")}`
    case "waiting":
      return `${amount} · ${t("model.waiting", { why: p.why ?? "" })}`
    case "paused":
      return `${amount} · ${t("model.paused")}`
    case "failed":
      return `${amount} · ${p.error?.message ?? t("error.unknown")}`
    default: {
      const speed = p.bytes_per_s > 0 ? t("model.speed", { speed: bytes(p.bytes_per_s) }) : ""
      return [amount, speed, timeLeft(p.eta_s)].filter(Boolean).join(" · ")
    }
  }
}
