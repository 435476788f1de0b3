import { useState, type CSSProperties } from "react"
import { sentence } from "../../lib/errors"
import { t } from "../../lib/i18n"
import { ProblemCard } from "../../ui/problem-card"

/** The photo that is being prepared, as large as fits. What the browser cannot draw, qie cannot read either. */
export function Photo({ url, name }: { url: string; name: string }) {
  const [ratio, setRatio] = useState<number | null>(null)
  const [broken, setBroken] = useState(false)
  if (broken) return <ProblemCard problem={sentence({ code: "image_broken", message: name })} />
  return (
    <img src={url} alt={t("stage.source", { name })} draggable={false}
      onError={() => setBroken(true)}
      onLoad={(e) => setRatio(e.currentTarget.naturalWidth / e.currentTarget.naturalHeight)}
      className={`fit rounded-md shadow-lg ${ratio === null ? "opacity-0" : ""}`} style={{ "--ratio": ratio ?? 1 } as CSSProperties} />
  )
}
