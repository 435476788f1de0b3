import { useEffect, useRef, useState, type CSSProperties, type KeyboardEvent } from "react"
import { t, type PlainKey } from "../../lib/i18n"
import { handleAt, handles, kept, matrixOf, reshaped, turned, type Box, type Handle } from "../../lib/shape"
import { useShape } from "../../lib/shape-store"
import { pictureAt, type Point } from "../../lib/view"
import type { Drag } from "../../ui/gestures"
import { Pane, type Looked } from "../../ui/pane"

/** Around the photo there is room for so much of its longer side, and more when the frame goes further. */
const room = 0.2
/** A handle is taken from so far. */
const reach_px = 22
const bigStep = 10

type Props = { url: string; alt: string; ratio: number | null; extend: boolean }

/** The photo with its frame. Everything is drawn in the pixels of a sheet that has room around the photo. */
export function CropCanvas({ url, alt, ratio, extend }: Props) {
  const { photo, shape } = useShape()
  const { box } = shape
  const size = turned(photo, shape.turns)
  const [sheet, setSheet] = useState(() => sheetOf(box, size))
  const free = useRef(true)
  const looked = useRef<Looked | null>(null)
  const onLook = useRef((now: Looked) => { looked.current = now })
  const drag = useRef<Drag | null>(null)
  // The sheet follows the frame when it is let go: it must not move under the pointer.
  const wanted = sheetOf(box, size)
  const wantedText = JSON.stringify(wanted)
  useEffect(() => {
    if (free.current) setSheet(JSON.parse(wantedText) as Box)
  }, [wantedText])
  useEffect(() => {
    // The way is counted on the screen: the page may move under the pointer.
    let from: { at: Point; scale: number; box: Box; handle: Handle } | null = null
    const at = (point: Point) => (looked.current ? pictureAt(point, looked.current.place) : { x: 0, y: 0 })
    const release = () => {
      free.current = true
      const { photo: p, shape: s } = useShape.getState()
      setSheet(sheetOf(s.box, turned(p, s.turns)))
    }
    drag.current = {
      start: (point, e) => {
        const start = useShape.getState().shape.box
        const here = at(point)
        const scale = looked.current?.place.scale ?? 1
        const handle = handleNear({ x: here.x + sheet.x, y: here.y + sheet.y }, start, reach_px / scale)
        if (!handle) return false
        free.current = false
        from = { at: { x: e.clientX, y: e.clientY }, scale, box: start, handle }
        return true
      },
      move: (_, e) => {
        if (from) setBox(from.box, from.handle, (e.clientX - from.at.x) / from.scale, (e.clientY - from.at.y) / from.scale, { ratio, extend })
      },
      end: release,
      abandon: () => {
        const begun = from?.box
        if (begun) useShape.setState(({ shape: now }) => ({ shape: { ...now, box: begun } }))
        release()
      },
    }
  }, [ratio, extend, sheet])
  const keys = (handle: Handle) => (e: KeyboardEvent) => {
    const way = arrows[e.key]
    if (!way || e.ctrlKey || e.metaKey || e.altKey) return
    e.preventDefault()
    e.stopPropagation()
    const step = e.shiftKey ? bigStep : 1
    setBox(useShape.getState().shape.box, handle, way[0] * step, way[1] * step, { ratio, extend })
  }
  const placed = { left: box.x - sheet.x, top: box.y - sheet.y, width: box.width, height: box.height }
  const [a, b, c, d, e, f] = matrixOf({ ...shape, box: { x: sheet.x, y: sheet.y, width: 1, height: 1 } }, photo)
  const where = t("crop.frame", { width: box.width, height: box.height, x: box.x, y: box.y })
  return (
    <Pane size={{ width: sheet.width, height: sheet.height }} drag={drag} doubleClick={false} onLook={onLook} className="drawing">
      <div className="layer cropping">
        <div className="paper" style={placed} />
        <img src={url} alt={alt} draggable={false} className="!inset-auto !top-0 !left-0 origin-top-left !object-fill"
          style={{ width: photo.width, height: photo.height, maxWidth: "none", transform: `matrix(${[a, b, c, d, e, f].join(",")})` }} />
        <button type="button" className="frame" style={placed} data-testid="frame" aria-roledescription={t("crop.frame.role")} aria-label={where} onKeyDown={keys({ h: 0, v: 0 })} />
        {handles.map((handle) => {
          const point = handleAt(box, handle)
          const name = `crop.handle.${handle.v}.${handle.h}` as const
          return (
            <button key={name} type="button" className="grip" aria-label={t(names[name] ?? "crop.handle")} onKeyDown={keys(handle)}
              style={{ left: point.x - sheet.x, top: point.y - sheet.y } as CSSProperties} />
          )
        })}
      </div>
    </Pane>
  )
}

function setBox(from: Box, handle: Handle, dx: number, dy: number, { ratio, extend }: { ratio: number | null; extend: boolean }): void {
  useShape.setState(({ photo, shape }) => {
    const wanted = reshaped(from, handle, dx, dy, ratio)
    return { shape: { ...shape, box: extend ? wanted : kept(wanted, handle, ratio, turned(photo, shape.turns)) } }
  })
}

function sheetOf(box: Box, size: { width: number; height: number }): Box {
  const gap = Math.round(Math.max(size.width, size.height) * room)
  const left = Math.min(-gap, box.x - gap)
  const top = Math.min(-gap, box.y - gap)
  return { x: left, y: top, width: Math.max(size.width, box.x + box.width) + gap - left, height: Math.max(size.height, box.y + box.height) + gap - top }
}

function handleNear(at: Point, box: Box, reach: number): Handle | null {
  const near = handles.map((handle) => {
    const point = handleAt(box, handle)
    return { handle, far: Math.hypot(point.x - at.x, point.y - at.y) }
  }).toSorted((p, q) => p.far - q.far)[0]
  if (near && near.far <= reach) return near.handle
  const inside = at.x > box.x && at.y > box.y && at.x < box.x + box.width && at.y < box.y + box.height
  return inside ? { h: 0, v: 0 } : null
}

const arrows: Readonly<Record<string, readonly [number, number]>> = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }

const names: Readonly<Record<string, PlainKey>> = {
  "crop.handle.-1.-1": "crop.handle.top-left", "crop.handle.-1.0": "crop.handle.top", "crop.handle.-1.1": "crop.handle.top-right",
  "crop.handle.0.-1": "crop.handle.left", "crop.handle.0.1": "crop.handle.right",
  "crop.handle.1.-1": "crop.handle.bottom-left", "crop.handle.1.0": "crop.handle.bottom", "crop.handle.1.1": "crop.handle.bottom-right",
}
