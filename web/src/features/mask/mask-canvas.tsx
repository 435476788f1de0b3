import { useEffect, useRef, type RefObject } from "react"
import type { MaskDraft, MaskOp } from "../../lib/mask"
import { draw, useMask } from "../../lib/mask-store"
import { pictureAt, type Point, type Size } from "../../lib/view"
import type { Drag } from "../../ui/gestures"
import { Pane, type Looked } from "../../ui/pane"
import { paint, shownBase, stroke } from "../../lib/mask-raster"

/** The longer side of what is shown while drawing; the mask itself is computed at the photo's size when it is done. */
const shownMax = 2048
/** The colour does not matter to the mask; it has to be seen on photos. */
const ink = [255, 0, 110] as const

type Props = { url: string; alt: string; size: Size }

/** The photo with the mask over it, drawn on by pointer. Strokes do not pass through React until they have ended. */
export function MaskCanvas({ url, alt, size }: Props) {
  const canvas = useRef<HTMLCanvasElement>(null)
  const ring = useRef<HTMLDivElement>(null)
  const looked = useRef<Looked | null>(null)
  const onLook = useRef((now: Looked) => { looked.current = now })
  const scale = Math.min(1, shownMax / Math.max(size.width, size.height))
  const shown = { width: Math.max(1, Math.round(size.width * scale)), height: Math.max(1, Math.round(size.height * scale)) }
  const draft = useMask((mask) => mask.draft)
  const drag = useDrawing(canvas, looked, size, scale)

  useEffect(() => {
    const context = canvas.current?.getContext("2d")
    if (context) redraw(context, draft, size, scale)
  }, [draft, size, scale])

  useEffect(() => {
    const pane = ring.current?.parentElement
    if (!pane) return
    const follow = (e: PointerEvent) => {
      const now = looked.current
      const circle = ring.current
      if (!now || !circle) return
      const box = pane.getBoundingClientRect()
      const { tool, brush } = useMask.getState()
      const diameter = brush * now.place.scale
      circle.hidden = e.type === "pointerleave" || e.pointerType === "touch" || (tool !== "brush" && tool !== "eraser")
      circle.style.width = `${diameter}px`
      circle.style.translate = `${e.clientX - box.left - diameter / 2}px ${e.clientY - box.top - diameter / 2}px`
    }
    const stop = new AbortController()
    for (const kind of ["pointermove", "pointerleave"] as const) pane.addEventListener(kind, follow, stop)
    return () => stop.abort()
  }, [])

  return (
    <Pane size={size} drag={drag} doubleClick={false} onLook={onLook} className="drawing">
      <div className="layer">
        <img src={url} alt={alt} draggable={false} />
        <canvas ref={canvas} data-testid="mask" width={shown.width} height={shown.height} className="opacity-50"
          style={draft.feather >= 3 ? { filter: `blur(${draft.feather / 2}px)` } : {}} />
      </div>
      <div ref={ring} hidden className="pointer-events-none absolute top-0 left-0 aspect-square rounded-full border border-white mix-blend-difference" />
    </Pane>
  )
}

function redraw(context: CanvasRenderingContext2D, draft: MaskDraft, size: Size, scale: number): void {
  const { canvas } = context
  context.setTransform(1, 0, 0, 1, 0, 0)
  context.clearRect(0, 0, canvas.width, canvas.height)
  if (draft.base) context.putImageData(shownBase(draft.base, canvas, ink), 0, 0)
  prepare(context, scale)
  for (const op of draft.ops) paint(context, op, size)
}

function prepare(context: CanvasRenderingContext2D, scale: number): void {
  context.setTransform(scale, 0, 0, scale, 0, 0)
  context.fillStyle = context.strokeStyle = `rgb(${ink.join(" ")})`
}

/** A point nearer than this to the last one says nothing new, in pixels of what is shown. */
const nearest = 0.7

function useDrawing(canvas: RefObject<HTMLCanvasElement | null>, looked: RefObject<Looked | null>, size: Size, scale: number) {
  const points = useRef<Point[]>([])
  const drag = useRef<Drag | null>(null)
  useEffect(() => {
    const context = () => canvas.current?.getContext("2d") ?? null
    const at = (point: Point) => (looked.current ? pictureAt(point, looked.current.place) : { x: 0, y: 0 })
    const opOf = (erase: boolean): MaskOp => {
      const { tool, brush } = useMask.getState()
      return tool === "rectangle" || tool === "lasso"
        ? { kind: tool, erase, points: points.current }
        : { kind: "stroke", erase: erase || tool === "eraser", size: brush, points: points.current }
    }
    const show = (erase: boolean) => {
      const target = context()
      if (!target) return
      const op = opOf(erase)
      if (op.kind === "stroke") {
        prepare(target, scale)
        target.globalCompositeOperation = op.erase ? "destination-out" : "source-over"
        stroke(target, op.points.slice(-2), op.size)
        target.globalCompositeOperation = "source-over"
        return
      }
      redraw(target, useMask.getState().draft, size, scale)
      paint(target, op, size)
    }
    drag.current = {
      start: (point, e) => {
        points.current = [at(point)]
        show(e.altKey)
        return true
      },
      move: (point, e) => {
        const { tool } = useMask.getState()
        const next = at(point)
        const last = points.current.at(-1)
        if (tool === "rectangle") points.current = [points.current[0] ?? next, next]
        else if (!last || Math.hypot(next.x - last.x, next.y - last.y) * scale < nearest) return
        else points.current.push(next)
        show(e.altKey)
      },
      end: (_, e) => {
        const { tool } = useMask.getState()
        const enough = tool === "lasso" ? 3 : tool === "rectangle" ? 2 : 1
        const op = opOf(e.altKey)
        points.current = []
        const target = context()
        if ("points" in op && op.points.length >= enough) draw({ ...op, points: [...op.points] })
        else if (target) redraw(target, useMask.getState().draft, size, scale)
      },
      abandon: () => {
        points.current = []
        const target = context()
        if (target) redraw(target, useMask.getState().draft, size, scale)
      },
    }
  }, [canvas, looked, size, scale])
  return drag
}
