import { useCallback, useEffect, useRef, useState, type KeyboardEvent, type ReactNode } from "react"
import { writes } from "../../actions/keys"
import { assertNever } from "../../lib/assert"
import { t } from "../../lib/i18n"
import { useUi, type CompareMode } from "../../lib/ui-store"
import { seenPart, type Size } from "../../lib/view"
import { viewBook, ViewBook } from "../../lib/view-book"
import type { Drag } from "../../ui/gestures"
import { Pane, type Looked } from "../../ui/pane"

type Pictures = { before: string; after: string; beforeAlt: string; afterAlt: string }

/** over lies over both, moved with them. */
type Shown = Pictures & { size: Size; over?: ReactNode }

/** Before and after, in one view: under a slider, side by side, or as their difference. */
export function Compare({ mode, ...shown }: Shown & { mode: CompareMode }) {
  usePeekKey()
  const peek = useUi((ui) => ui.peek)
  return (
    <div data-testid="compare" data-mode={mode} data-peek={peek ? "" : undefined} className="compare size-full">
      <Mode mode={mode} {...shown} />
    </div>
  )
}

function Mode({ mode, ...rest }: Shown & { mode: CompareMode }) {
  switch (mode) {
    case "slider":
      return <Slider {...rest} book={viewBook} />
    case "side":
      return <Sides {...rest} />
    case "difference":
      return <Difference {...rest} />
    default:
      return assertNever(mode)
  }
}

/** A comparison that is no part of the stage: it has a view of its own and only the slider. */
export function SampleCompare(props: Pictures & { size: Size }) {
  const [book] = useState(() => new ViewBook())
  usePeekKey()
  const peek = useUi((ui) => ui.peek)
  return <div data-testid="compare" data-peek={peek ? "" : undefined} className="compare size-full"><Slider {...props} book={book} /></div>
}

const start = 50
/** The seam is taken by the finger from so far. */
const reach_px = 24
const bigStep = 10

/** The seam's place lives in the page's style, not in React. */
function Slider({ before, after, beforeAlt, afterAlt, size, over, book }: Shown & { book: ViewBook }) {
  const root = useRef<HTMLDivElement>(null)
  const handle = useRef<HTMLDivElement>(null)
  const looked = useRef<Looked | null>(null)
  const onLook = useRef((now: Looked) => { looked.current = now })
  const at = useRef(start)
  const begun = useRef(start)
  const show = useCallback((percent: number) => {
    at.current = Math.min(100, Math.max(0, percent))
    const whole = Math.round(at.current)
    root.current?.style.setProperty("--at", String(at.current / 100))
    handle.current?.setAttribute("aria-valuenow", String(whole))
    handle.current?.setAttribute("aria-valuetext", t("compare.value", { percent: whole }))
  }, [])
  const drag = useRef<Drag>({
    start: (point) => {
      const now = looked.current
      if (!now) return false
      const seen = seenPart(now.place, now.frame)
      const seam = seen.left + (seen.width * at.current) / 100
      const whole = seen.width >= now.frame.picture.width * now.place.scale - 0.5 && seen.height >= now.frame.picture.height * now.place.scale - 0.5
      if (!whole && Math.abs(point.x - seam) > reach_px) return false
      begun.current = at.current
      handle.current?.focus({ preventScroll: true })
      drag.current.move(point, undefined as never)
      return true
    },
    move: (point) => {
      const now = looked.current
      if (!now) return
      const seen = seenPart(now.place, now.frame)
      show(((point.x - seen.left) / seen.width) * 100)
    },
    end: () => {},
    abandon: () => show(begun.current),
  })
  const keys = (e: KeyboardEvent) => {
    const step = e.shiftKey ? bigStep : 1
    const to = {
      ArrowLeft: at.current - step, ArrowDown: at.current - step, ArrowRight: at.current + step, ArrowUp: at.current + step,
      PageDown: at.current - bigStep, PageUp: at.current + bigStep, Home: 0, End: 100,
    }[e.key]
    if (to === undefined || e.ctrlKey || e.metaKey || e.altKey) return
    e.preventDefault()
    show(Math.round(to))
  }
  return (
    <div ref={root} className="size-full" style={{ "--at": String(start / 100) } as object}>
      <Pane size={size} book={book} drag={drag} onLook={onLook} className="slider">
        <div className="layer"><img src={before} alt={beforeAlt} draggable={false} /></div>
        <div className="after absolute inset-0">
          <div className="layer bg-sunken"><img src={after} alt={afterAlt} draggable={false} /></div>
        </div>
        {over && <div className="layer">{over}</div>}
        <Label className="at-left">{t("compare.before")}</Label>
        <Label className="at-right after-label">{t("compare.after")}</Label>
        <div className="seam pointer-events-none absolute w-0.5 bg-white shadow-[0_0_0_1px_rgb(0_0_0/0.35)]" />
        <div ref={handle} role="slider" tabIndex={0} aria-label={t("compare.label")} aria-orientation="horizontal" aria-valuemin={0} aria-valuemax={100}
          aria-valuenow={start} aria-valuetext={t("compare.value", { percent: start })} onKeyDown={keys}
          className="handle absolute grid size-8 place-items-center rounded-full bg-white text-xs text-black shadow-md">
          <span aria-hidden="true">⇔</span>
        </div>
      </Pane>
    </div>
  )
}

function Sides({ before, after, beforeAlt, afterAlt, size, over }: Shown) {
  return (
    <div className="flex size-full gap-2 max-md:flex-col">
      <div className="min-h-0 min-w-0 flex-1">
        <Pane size={size}>
          <div className="layer"><img src={before} alt={beforeAlt} draggable={false} /></div>
          {over && <div className="layer">{over}</div>}
          <Label className="at-left">{t("compare.before")}</Label>
        </Pane>
      </div>
      <div className="min-h-0 min-w-0 flex-1">
        <Pane size={size}>
          <div className="layer"><img src={before} alt="" draggable={false} /></div>
          <div className="after absolute inset-0"><div className="layer bg-sunken"><img src={after} alt={afterAlt} draggable={false} /></div></div>
          <Label className="at-left after-label">{t("compare.after")}</Label>
        </Pane>
      </div>
    </div>
  )
}

/** What is equal is black; what is not is shown brighter than it is, so that small changes are seen. */
function Difference({ before, after, beforeAlt, afterAlt, size, over }: Shown) {
  return (
    <Pane size={size}>
      <div className="difference absolute inset-0">
        <div className="layer"><img src={before} alt={beforeAlt} draggable={false} /></div>
        <div className="after absolute inset-0"><div className="layer"><img src={after} alt={afterAlt} draggable={false} /></div></div>
      </div>
      {over && <div className="layer">{over}</div>}
      <Label className="at-left">{t("compare.difference.hint")}</Label>
    </Pane>
  )
}

function Label({ className, children }: { className: string; children: string }) {
  return <span aria-hidden="true" className={`pointer-events-none absolute rounded bg-black/60 px-1.5 py-0.5 text-xs text-white ${className}`}>{children}</span>
}

/** Held \ shows the original. */
function usePeekKey(): void {
  useEffect(() => {
    const peek = (on: boolean) => (e: globalThis.KeyboardEvent) => {
      if (e.key === "\\" && (!on || !writes(e.target))) useUi.setState({ peek: on })
    }
    const stop = new AbortController()
    addEventListener("keydown", peek(true), stop)
    addEventListener("keyup", peek(false), stop)
    addEventListener("blur", () => useUi.setState({ peek: false }), stop)
    return () => {
      stop.abort()
      useUi.setState({ peek: false })
    }
  }, [])
}
