import { canPan, panned, toggled, wheelFactor, zoomed, type Frame, type Point } from "../lib/view"
import type { ViewBook } from "../lib/view-book"

/** The drag of one pointer that is not a pan: a brush, a frame, the seam. start says whether it takes the drag. */
export type Drag = {
  start: (at: Point, e: PointerEvent) => boolean
  move: (at: Point, e: PointerEvent) => void
  end: (at: Point, e: PointerEvent) => void
  /** a second finger made it a pinch: what was begun is not meant */
  abandon?: () => void
}

type Options = {
  book: ViewBook
  frame: () => Frame | null
  drag: () => Drag | null
  /** false where a double click is part of drawing */
  doubleClick: boolean
  signal: AbortSignal
}

/** Safari's own pinch events. */
type GestureEvent = UIEvent & { scale: number; clientX: number; clientY: number }

/**
 * Two fingers pan, pinch and Ctrl or Command with the wheel zoom, a double click goes to 100 % and back. One pointer
 * drags what the caller wants dragged, else the picture; with the middle button always the picture.
 */
export function listenToGestures(pane: HTMLElement, { book, frame, drag, doubleClick, signal }: Options): void {
  const pointers = new Map<number, Point>()
  let dragging: Drag | null = null
  let panning = false
  const pointOf = (e: { clientX: number; clientY: number }): Point => {
    const box = pane.getBoundingClientRect()
    return { x: e.clientX - box.left, y: e.clientY - box.top }
  }

  const pinch = (moved: number, to: Point) => {
    const [a, b] = [...pointers.values()]
    const current = frame()
    if (!a || !b || !current) return
    pointers.set(moved, to)
    const [c, d] = [...pointers.values()]
    if (!c || !d) return
    const was = { x: (a.x + b.x) / 2, y: (a.y + b.y) / 2 }
    const is = { x: (c.x + d.x) / 2, y: (c.y + d.y) / 2 }
    const factor = Math.hypot(c.x - d.x, c.y - d.y) / Math.max(1, Math.hypot(a.x - b.x, a.y - b.y))
    book.set(zoomed(panned(book.get(), current, is.x - was.x, is.y - was.y), current, factor, is))
  }

  const down = (e: PointerEvent) => {
    if (e.button > 1) return
    const at = pointOf(e)
    pointers.set(e.pointerId, at)
    pane.setPointerCapture(e.pointerId)
    if (pointers.size > 1) {
      dragging?.abandon?.()
      dragging = null
      panning = false
      return
    }
    const wanted = drag()
    if (e.button === 0 && wanted?.start(at, e)) dragging = wanted
    else {
      const current = frame()
      panning = current !== null && canPan(book.get(), current)
      if (e.button === 1) e.preventDefault()
    }
    pane.dataset["moving"] = ""
  }
  const move = (e: PointerEvent) => {
    const from = pointers.get(e.pointerId)
    if (!from) return
    const at = pointOf(e)
    if (pointers.size > 1) pinch(e.pointerId, at)
    else {
      pointers.set(e.pointerId, at)
      const current = frame()
      if (dragging) dragging.move(at, e)
      else if (panning && current) book.set(panned(book.get(), current, at.x - from.x, at.y - from.y))
    }
  }
  const up = (e: PointerEvent) => {
    if (!pointers.delete(e.pointerId)) return
    if (dragging) (e.type === "pointerup" ? dragging.end : (dragging.abandon ?? dragging.end))(pointOf(e), e)
    dragging = null
    panning = false
    if (pointers.size === 0) delete pane.dataset["moving"]
  }
  const wheel = (e: WheelEvent) => {
    const current = frame()
    if (!current) return
    if (e.ctrlKey || e.metaKey) {
      e.preventDefault()
      book.set(zoomed(book.get(), current, wheelFactor(e.deltaY, e.deltaMode), pointOf(e)))
    } else if (canPan(book.get(), current)) {
      e.preventDefault()
      const unit = e.deltaMode === 0 ? 1 : 16
      book.set(panned(book.get(), current, -e.deltaX * unit, -e.deltaY * unit))
    }
  }
  let scale = 1
  const safari = (e: Event) => {
    const gesture = e as GestureEvent
    e.preventDefault()
    if (e.type === "gesturestart") scale = 1
    const current = frame()
    if (current) book.set(zoomed(book.get(), current, gesture.scale / scale, pointOf(gesture)))
    scale = gesture.scale
  }
  const double = (e: MouseEvent) => {
    const current = frame()
    if (current) book.set(toggled(book.get(), current, pointOf(e)))
  }
  pane.addEventListener("pointerdown", down, { signal })
  pane.addEventListener("pointermove", move, { signal })
  pane.addEventListener("pointerup", up, { signal })
  pane.addEventListener("pointercancel", up, { signal })
  pane.addEventListener("wheel", wheel, { signal, passive: false })
  if (doubleClick) pane.addEventListener("dblclick", double, { signal })
  pane.addEventListener("gesturestart", safari, { signal })
  pane.addEventListener("gesturechange", safari, { signal })
}
