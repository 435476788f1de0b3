import { useState } from "react"
import { sentence } from "../../lib/errors"
import { t } from "../../lib/i18n"
import type { Size } from "../../lib/view"
import { MaskShade } from "../../ui/mask-shade"
import { ProblemCard } from "../../ui/problem-card"
import { Pane } from "../../ui/pane"

/** The photo that is being prepared, as large as fits. What the browser cannot draw, qie cannot read either. */
export function Photo({ url, name, mask }: { url: string; name: string; mask: string | null }) {
  const [size, setSize] = useState<Size | null>(null)
  const [broken, setBroken] = useState(false)
  if (broken) return <div className="grid size-full place-items-center"><ProblemCard problem={sentence({ code: "image_broken", message: name })} /></div>
  const image = (
    <img src={url} alt={t("stage.source", { name })} draggable={false} className={size ? "" : "absolute opacity-0"}
      onError={() => setBroken(true)}
      onLoad={(e) => setSize({ width: e.currentTarget.naturalWidth, height: e.currentTarget.naturalHeight })} />
  )
  return size ? <Pane size={size}><div className="layer">{image}{mask && <MaskShade url={mask} />}</div></Pane> : <div className="relative size-full overflow-hidden">{image}</div>
}
