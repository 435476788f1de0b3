import { useEffect, useState } from "react"
import { brushBigger, brushSmaller, maskBrush, maskCancel, maskDone, maskEraser, maskInvert, maskLasso, maskRectangle, maskRedo, maskUndo } from "../../actions/mask"
import { editing } from "../../lib/editing"
import { sentenceOf } from "../../lib/errors"
import { t } from "../../lib/i18n"
import { brushMax, brushOf, featherMax, newDraft } from "../../lib/mask"
import { draw, useMask } from "../../lib/mask-store"
import { setMask, useUi, type Source } from "../../lib/ui-store"
import type { Size } from "../../lib/view"
import { ActionButton, Button } from "../../ui/button"
import { StageBar } from "../../ui/stage-bar"
import { MaskCanvas } from "./mask-canvas"
import { fileOfMask } from "../../lib/mask-file"
import { greyOf } from "../../lib/mask-raster"

/** Where it is drawn what of the first photo may change. It is loaded when it is opened. */
export function MaskEditor({ source }: { source: Source }) {
  const [size, setSize] = useState<Size | null>(null)
  const [busy, setBusy] = useState(false)
  useEffect(() => {
    let gone = false
    void begin(source).then((found) => { if (!gone) setSize(found) }).catch((error: unknown) => useUi.setState({ problem: sentenceOf(error), editor: null }))
    return () => { gone = true }
  }, [source])
  useEffect(() => {
    if (!size) return
    const finish = async () => {
      setBusy(true)
      await new Promise(requestAnimationFrame) // what is busy is seen before the work begins
      await keep(source, size).finally(() => setBusy(false))
    }
    editing.finish = finish
    return () => { editing.finish = null }
  }, [source, size])
  return (
    <>
      <StageBar><Tools size={size ?? { width: 1, height: 1 }} busy={busy} /></StageBar>
      <div className="min-h-0 flex-1 px-4 py-2">
        {size && <MaskCanvas url={source.url} alt={t("stage.source", { name: source.file.name })} size={size} />}
      </div>
      <p className="shrink-0 px-4 pb-2 text-xs text-muted">{t("mask.help")}</p>
    </>
  )
}

/** begin looks at the photo and brings back what was drawn on it before. */
async function begin(source: Source): Promise<Size> {
  const image = new Image()
  image.src = source.url
  await image.decode()
  const size = { width: image.naturalWidth, height: image.naturalHeight }
  const { mask } = source
  const base = mask && !mask.draft ? await greyOf(mask.file) : null
  if (base && (base.width !== size.width || base.height !== size.height)) throw new Error(t("mask.other-size"))
  useMask.setState({ size, brush: brushOf(size), tool: "brush", draft: mask?.draft ?? newDraft(base) })
  return size
}

/** keep computes the mask and puts it to its photo. */
async function keep(source: Source, size: Size): Promise<void> {
  const { draft } = useMask.getState()
  const file = await fileOfMask(draft, size)
  setMask(source.id, file && { ...file, draft })
  useUi.setState({ editor: null, problem: null })
}

function Tools({ size, busy }: { size: Size; busy: boolean }) {
  const { tool, brush, draft } = useMask()
  const small = "!h-7 !px-2 !text-xs"
  return (
    <>
      <div role="group" aria-label={t("mask.tools")} className="flex items-center">
        {([["brush", maskBrush], ["eraser", maskEraser], ["rectangle", maskRectangle], ["lasso", maskLasso]] as const).map(([name, action]) => (
          <ActionButton key={name} action={action} look="quiet" pressed={tool === name} className={`${small} ${tool === name ? "!bg-accent-soft !text-ink" : ""}`} />
        ))}
      </div>
      <div className="flex items-center gap-1">
        <ActionButton action={brushSmaller} look="quiet" icon="minus" iconOnly className="!size-7" />
        <input type="range" aria-label={t("mask.brush")} min={1} max={brushMax(size)} value={brush} className="w-20 accent-(--accent)"
          onChange={(e) => useMask.setState({ brush: Number(e.target.value) })} />
        <ActionButton action={brushBigger} look="quiet" icon="plus" iconOnly className="!size-7" />
      </div>
      <label className="flex items-center gap-1 text-xs text-muted">
        {t("mask.feather")}
        <input type="range" min={0} max={featherMax(size)} step={1} value={draft.feather} className="w-16 accent-(--accent)"
          onChange={(e) => useMask.setState({ draft: { ...draft, feather: Number(e.target.value) } })} />
      </label>
      <div className="flex items-center">
        <ActionButton action={maskInvert} look="quiet" className={small} />
        <Button look="quiet" className={small} onClick={() => draw({ kind: "clear" })}>{t("mask.clear")}</Button>
        <ActionButton action={maskUndo} look="quiet" icon="again" iconOnly className="!size-7" />
        <ActionButton action={maskRedo} look="quiet" icon="redo" iconOnly className="!size-7" />
      </div>
      <div className="flex items-center gap-1">
        <ActionButton action={maskCancel} className={small} />
        <ActionButton action={maskDone} look="primary" className={small} busy={busy} testId="mask-done" />
      </div>
    </>
  )
}
