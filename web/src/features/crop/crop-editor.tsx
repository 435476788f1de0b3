import { useEffect, useState } from "react"
import { cropCancel, cropDone, cropLeft, cropMirror, cropRight } from "../../actions/crop"
import { editing } from "../../lib/editing"
import { sentenceOf } from "../../lib/errors"
import { t } from "../../lib/i18n"
import { framed, goesBeyond, inside, isWhole, turned, wholeBox, wholeShape } from "../../lib/shape"
import { useShape } from "../../lib/shape-store"
import { setPhoto, useUi, type Source } from "../../lib/ui-store"
import { ActionButton, Button } from "../../ui/button"
import { StageBar } from "../../ui/stage-bar"
import { fileOfMask } from "../../lib/mask-file"
import { CropCanvas } from "./crop-canvas"
import { newPart, reframed } from "./render"

const ratios = { free: null, own: 0, "1:1": 1, "4:3": 4 / 3, "3:2": 3 / 2, "16:9": 16 / 9, "3:4": 3 / 4, "2:3": 2 / 3, "9:16": 9 / 16 } as const
type Ratio = keyof typeof ratios

/** Where a photo is turned, cropped and extended. The photo that came in is kept, and can be framed anew. */
export function CropEditor({ source }: { source: Source }) {
  const original = source.from?.file ?? source.file
  const [url, setUrl] = useState<string | null>(null)
  const [busy, setBusy] = useState(false)
  const [ratio, setRatio] = useState<Ratio>("free")
  const [extend, setExtend] = useState(false)
  const [keep, setKeep] = useState(true)
  const first = useUi((ui) => ui.sources[0]?.id === source.id) // only the first photo has a mask
  const { photo, shape } = useShape()
  const size = turned(photo, shape.turns)
  const number = ratio === "own" ? size.width / size.height : ratios[ratio]
  const beyond = goesBeyond(shape.box, size)

  useEffect(() => {
    const address = URL.createObjectURL(original)
    const image = new Image()
    image.src = address
    let gone = false
    image.decode().then(() => {
      const of = { width: image.naturalWidth, height: image.naturalHeight }
      const begun = source.from?.shape ?? wholeShape(of)
      useShape.setState({ photo: of, shape: begun })
      if (gone) return
      setExtend(goesBeyond(begun.box, turned(of, begun.turns)))
      setUrl(address)
    }).catch((error: unknown) => useUi.setState({ problem: sentenceOf(error), editor: null }))
    return () => {
      gone = true
      URL.revokeObjectURL(address)
    }
  }, [original, source.from?.shape])

  useEffect(() => {
    if (!url) return
    editing.finish = async () => {
      setBusy(true)
      try {
        const now = useShape.getState()
        if (isWhole(now.shape, now.photo)) {
          if (source.from) setPhoto(source.id, original, null, null)
        } else {
          const draft = keep && first ? newPart(now.shape, now.photo) : null
          const mask = draft ? await fileOfMask(draft, now.shape.box) : null
          setPhoto(source.id, await reframed(original, now.shape, now.photo), { file: original, shape: now.shape }, mask && { ...mask, draft })
        }
        useUi.setState({ editor: null, problem: null })
      } finally {
        setBusy(false)
      }
    }
    return () => { editing.finish = null }
  }, [url, original, source.id, source.from, keep, first])

  const choose = (next: Ratio, outward: boolean) => {
    setRatio(next)
    setExtend(outward)
    const of = next === "own" ? size.width / size.height : ratios[next]
    const box = of !== null ? framed(size, of, outward) : outward || !beyond ? shape.box : (inside(shape.box, size) ?? wholeBox(size))
    useShape.setState({ shape: { ...shape, box } })
  }
  const small = "!h-7 !px-2 !text-xs"
  return (
    <>
      <StageBar>
        <div className="flex items-center">
          <ActionButton action={cropLeft} look="quiet" icon="again" iconOnly className="!size-7" />
          <ActionButton action={cropRight} look="quiet" icon="redo" iconOnly className="!size-7" />
          <ActionButton action={cropMirror} look="quiet" className={small} />
        </div>
        <label className="flex items-center gap-1 text-xs text-muted">
          {t("crop.ratio")}
          <select value={ratio} onChange={(e) => choose(e.target.value as Ratio, extend)} className="h-7 rounded-md border border-line bg-raised px-1 text-ink">
            {Object.keys(ratios).map((name) => (
              <option key={name} value={name}>{name === "free" ? t("crop.ratio.free") : name === "own" ? t("crop.ratio.own") : name}</option>
            ))}
          </select>
        </label>
        <label className="flex items-center gap-1 text-xs text-muted">
          <input type="checkbox" checked={extend} className="accent-(--accent)" onChange={(e) => choose(ratio, e.target.checked)} />
          {t("crop.extend")}
        </label>
        {beyond && first && (
          <label className="flex items-center gap-1 text-xs text-muted">
            <input type="checkbox" checked={keep} className="accent-(--accent)" onChange={(e) => setKeep(e.target.checked)} />
            {t("crop.keep")}
          </label>
        )}
        <span data-testid="frame-size" className="text-xs text-muted tabular-nums">{t("result.facts", { width: shape.box.width, height: shape.box.height })}</span>
        <div className="flex items-center gap-1">
          <Button look="quiet" className={small} onClick={() => useShape.setState({ shape: wholeShape(photo) })}>{t("crop.reset")}</Button>
          <ActionButton action={cropCancel} className={small} />
          <ActionButton action={cropDone} look="primary" className={small} busy={busy} testId="crop-done" />
        </div>
      </StageBar>
      <div className="min-h-0 flex-1 px-4 py-2">
        {url && <CropCanvas url={url} alt={t("stage.source", { name: original.name })} ratio={number} extend={extend} />}
      </div>
      <p className="shrink-0 px-4 pb-2 text-xs text-muted">{t("crop.help")}{source.mask && ` ${t("crop.mask")}`}</p>
    </>
  )
}
