import { useEffect, useRef } from "react"
import { t } from "../../lib/i18n"
import { progressBook } from "../../live/progress"

/**
 * The newest preview over the photo, in place. It is drawn on a canvas straight from the stream: only the newest is
 * fetched, and an older one that arrives late is dropped.
 */
export function Preview({ job, attempt }: { job: string; attempt: number }) {
  const canvas = useRef<HTMLCanvasElement>(null)
  useEffect(() => {
    let wanted = ""
    let loading = false
    let gone = false
    const hide = () => { if (canvas.current) canvas.current.hidden = true }
    const load = () => {
      const url = wanted
      loading = true
      const image = new Image()
      const done = () => {
        loading = false
        if (!gone && wanted && wanted !== url) load()
      }
      image.addEventListener("load", () => {
        const target = canvas.current
        if (!gone && target && wanted !== "") {
          target.width = image.naturalWidth
          target.height = image.naturalHeight
          target.getContext("2d")?.drawImage(image, 0, 0)
          target.hidden = false
        }
        done()
      })
      image.addEventListener("error", done)
      image.src = url
    }
    hide()
    const stop = progressBook.watch(job, (progress) => {
      const url = progress.attempt === attempt ? (progress.preview ?? "") : ""
      if (url === wanted) return
      wanted = url
      if (!url) hide()
      else if (!loading) load()
    })
    return () => {
      gone = true
      stop()
    }
  }, [job, attempt])
  return <canvas ref={canvas} data-testid="preview" hidden aria-label={t("stage.preview")} className="absolute inset-0 size-full" />
}
