import { useEffect, useRef, type ReactNode } from "react"
import { compare, zoomActual, zoomFit, zoomIn, zoomOut } from "../actions/view"
import { t } from "../lib/i18n"
import { compareModes, useUi } from "../lib/ui-store"
import { scaleOf } from "../lib/view"
import { viewBook } from "../lib/view-book"
import { ActionButton, Button } from "./button"

const hold = (on: boolean) => () => useUi.setState({ peek: on })

/** How the stage is looked at: the kind of comparison, and how near. children is what can be done with what is shown. */
export function StageBar({ comparing = false, children }: { comparing?: boolean; children?: ReactNode }) {
  const mode = useUi((ui) => ui.compare)
  const peek = useUi((ui) => ui.peek)
  return (
    <div data-testid="stage-bar" className="flex shrink-0 flex-wrap items-center gap-x-3 gap-y-1 px-4 pt-2">
      {comparing && (
        <div role="group" aria-label={t("compare.modes")} className="flex items-center">
          {compareModes.map((m) => (
            <Button key={m} look="quiet" aria-pressed={m === mode} title={t(`compare.${m}.title`)} onClick={() => useUi.setState({ compare: m })}
              className={`!h-7 !px-2 !text-xs ${m === mode ? "!bg-accent-soft !text-ink" : ""}`} aria-keyshortcuts={compare.keys.join(" ")}>
              {t(`compare.${m}`)}
            </Button>
          ))}
          <Button look="quiet" aria-pressed={peek} title={t("action.peek")} className="!h-7 touch-none !px-2 !text-xs select-none"
            onPointerDown={hold(true)} onPointerUp={hold(false)} onPointerCancel={hold(false)} onPointerLeave={hold(false)} onBlur={hold(false)}
            onKeyDown={(e) => { if (e.key === " " || e.key === "Enter") hold(true)() }} onKeyUp={hold(false)} onContextMenu={(e) => e.preventDefault()}>
            {t("compare.peek")}
          </Button>
        </div>
      )}
      {children}
      <div role="group" aria-label={t("view.zoom")} className="ml-auto flex items-center">
        <ActionButton action={zoomOut} look="quiet" icon="minus" iconOnly className="!size-7" />
        <Percent />
        <ActionButton action={zoomIn} look="quiet" icon="plus" iconOnly className="!size-7" />
        <ActionButton action={zoomFit} look="quiet" className="!h-7 !px-2 !text-xs" />
        <ActionButton action={zoomActual} look="quiet" className="!h-7 !px-2 !text-xs" />
      </div>
    </div>
  )
}

/** The scale as it is, in the screen's own pixels. */
function Percent() {
  const text = useRef<HTMLSpanElement>(null)
  useEffect(() => viewBook.watch((view) => {
    const frame = viewBook.lastFrame()
    if (text.current && frame) text.current.textContent = t("progress.percent", { percent: Math.round(scaleOf(view, frame) * frame.dpr * 100) })
  }), [])
  return <span ref={text} data-testid="zoom" className="w-12 text-center text-xs text-muted tabular-nums" />
}
