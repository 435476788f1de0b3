import { useCallback, useEffect, useRef } from "react"
import { t } from "../../lib/i18n"

type Props = { before: string; after: string; beforeAlt: string; afterAlt: string }

const start = 50

/** Before and after under one slider. Its place lives in the page's style, not in React. */
export function Compare({ before, after, beforeAlt, afterAlt }: Props) {
  const box = useRef<HTMLDivElement>(null)
  const slider = useRef<HTMLInputElement>(null)
  const show = useCallback((percent: number) => {
    box.current?.style.setProperty("--at", `${percent}%`)
    slider.current?.setAttribute("aria-valuetext", t("compare.value", { percent }))
  }, [])
  useEffect(() => {
    // Held \ shows the original; letting go brings the slider back to where it was.
    const peek = (on: boolean) => (e: KeyboardEvent) => {
      const target = e.target
      if (e.key !== "\\" || target instanceof HTMLTextAreaElement || (target instanceof HTMLInputElement && target.type !== "range")) return
      show(on ? 100 : Number(slider.current?.value ?? start))
    }
    const stop = new AbortController()
    addEventListener("keydown", peek(true), stop)
    addEventListener("keyup", peek(false), stop)
    return () => stop.abort()
  }, [show])
  return (
    <div ref={box} data-testid="compare" className="compare size-full">
      <img src={before} alt={beforeAlt} draggable={false} className="absolute inset-0 size-full object-contain" />
      <img src={after} alt={afterAlt} draggable={false} className="after absolute inset-0 size-full bg-sunken object-contain" />
      <Label side="left-2">{t("compare.before")}</Label>
      <Label side="right-2">{t("compare.after")}</Label>
      <div className="seam pointer-events-none absolute inset-y-0 w-0.5 -translate-x-1/2 bg-white shadow-[0_0_0_1px_rgb(0_0_0/0.35)]">
        <span className="absolute top-1/2 left-1/2 grid size-8 -translate-1/2 place-items-center rounded-full bg-white text-xs text-black shadow-md" aria-hidden="true">⇔</span>
      </div>
      <input ref={slider} type="range" min={0} max={100} step={1} defaultValue={start} aria-label={t("compare.label")}
        aria-valuetext={t("compare.value", { percent: start })}
        onInput={(e) => show(Number(e.currentTarget.value))} className="absolute inset-0 m-0 size-full" />
    </div>
  )
}

function Label({ side, children }: { side: string; children: string }) {
  return <span aria-hidden="true" className={`pointer-events-none absolute top-2 ${side} rounded bg-black/60 px-1.5 py-0.5 text-xs text-white`}>{children}</span>
}
