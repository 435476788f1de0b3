import { useEffect, useRef, type KeyboardEvent, type ReactNode, type RefObject } from "react"
import { t } from "../lib/i18n"
import { canPan, panned, placeOf, seenPart, type Frame, type Place, type Size, type View } from "../lib/view"
import { viewBook, type ViewBook } from "../lib/view-book"
import { listenToGestures, type Drag } from "./gestures"

/** From so many CSS pixels in a pixel of the picture its pixels are seen as squares. */
const squaresFrom = 4
const keyPan_px = 60

export type Looked = { frame: Frame; place: Place }

type Props = {
  size: Size
  children: ReactNode
  book?: ViewBook
  /** what one pointer drags in place of the picture; asked at each press */
  drag?: RefObject<Drag | null>
  doubleClick?: boolean
  /** told after each change of the view, before it is drawn */
  onLook?: RefObject<((looked: Looked) => void) | null>
  className?: string
}

/**
 * A window onto a picture that can be zoomed and panned. What lies in it and has the class `layer` is moved with the
 * picture; the rest finds the part of the pane that the picture covers in --left, --top, --span and --rise.
 */
export function Pane({ size, children, book = viewBook, drag, doubleClick = true, onLook, className = "" }: Props) {
  const box = useRef<HTMLDivElement>(null)
  const { width, height } = size
  useEffect(() => {
    const pane = box.current
    if (!pane) return
    let frame: Frame | null = null
    const show = (view: View) => {
      if (!frame) return
      const place = placeOf(view, frame)
      const seen = seenPart(place, frame)
      const set = (name: string, value: string) => pane.style.setProperty(name, value)
      set("--x", `${place.left}px`)
      set("--y", `${place.top}px`)
      set("--k", String(place.scale))
      set("--left", `${seen.left}px`)
      set("--top", `${seen.top}px`)
      set("--span", `${seen.width}px`)
      set("--rise", `${seen.height}px`)
      pane.toggleAttribute("data-squares", place.scale >= squaresFrom)
      pane.toggleAttribute("data-pannable", canPan(view, frame))
      onLook?.current?.({ frame, place })
    }
    const measure = () => {
      if (pane.clientWidth === 0 || pane.clientHeight === 0) return
      frame = { picture: { width, height }, pane: { width: pane.clientWidth, height: pane.clientHeight }, dpr: devicePixelRatio }
      book.framed(frame)
    }
    measure()
    const unwatch = book.watch(show)
    const resized = new ResizeObserver(measure)
    resized.observe(pane)
    const stop = new AbortController()
    // What is pulled here is the view, not the picture's file.
    pane.addEventListener("dragstart", (e) => e.preventDefault(), stop)
    listenToGestures(pane, { book, frame: () => frame, drag: () => drag?.current ?? null, doubleClick, signal: stop.signal })
    return () => {
      stop.abort()
      resized.disconnect()
      unwatch()
    }
  }, [book, drag, onLook, doubleClick, width, height])
  const pan = (e: KeyboardEvent) => {
    const way = e.target === e.currentTarget ? arrows[e.key] : undefined
    const frame = book.lastFrame()
    if (!way || !frame || !canPan(book.get(), frame)) return
    e.preventDefault()
    book.set(panned(book.get(), frame, way[0] * keyPan_px, way[1] * keyPan_px))
  }
  return (
    // oxlint-disable-next-line jsx-a11y/no-noninteractive-tabindex, jsx-a11y/no-noninteractive-element-interactions -- a picture that is larger than its pane is scrolled by arrow keys
    <div ref={box} tabIndex={0} role="group" aria-label={t("view.pane")} data-testid="pane" onKeyDown={pan}
      style={{ "--w": `${width}px`, "--h": `${height}px` } as object} className={`pane relative size-full overflow-hidden ${className}`}>
      {children}
    </div>
  )
}

const arrows: Readonly<Record<string, readonly [number, number]>> = {
  ArrowLeft: [1, 0], ArrowRight: [-1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1],
}
