import type { CSSProperties } from "react"
import { t } from "../lib/i18n"

/** What may change, as a shade over the photo in the same layer. */
export function MaskShade({ url }: { url: string }) {
  return <div role="img" aria-label={t("mask.of")} data-testid="mask-shade" className="mask-shade" style={{ "--mask": `url("${url}")` } as CSSProperties} />
}
