import type { Point, Size } from "./view"

/** How a photo is turned and framed before its edit. The photo itself stays as it is; the frame may go beyond it. */

/** Pixels of the turned photo from its upper left corner; what lies beyond it is new and white. */
export type Box = { x: number; y: number; width: number; height: number }

/** turns are quarters, clockwise; the mirror comes before them. */
export type Shape = { turns: 0 | 1 | 2 | 3; mirrored: boolean; box: Box }

export const sideMin = 32
/** What the server takes. */
export const sideMax = 16_384
export const pixelsMax = 50_000_000

export const turned = ({ width, height }: Size, turns: number): Size => (turns % 2 === 1 ? { width: height, height: width } : { width, height })

export const wholeBox = (size: Size): Box => ({ x: 0, y: 0, ...size })

export const wholeShape = (photo: Size): Shape => ({ turns: 0, mirrored: false, box: wholeBox(photo) })

export function isWhole(shape: Shape, photo: Size): boolean {
  const { x, y, width, height } = shape.box
  return shape.turns === 0 && !shape.mirrored && x === 0 && y === 0 && width === photo.width && height === photo.height
}

/** quarter turns photo and frame together, so that the same part stays framed. */
export function quarter(shape: Shape, photo: Size, way: 1 | -1): Shape {
  const { width, height } = turned(photo, shape.turns)
  const { box } = shape
  const turns = ((shape.turns + way + 4) % 4) as Shape["turns"]
  return way > 0
    ? { ...shape, turns, box: { x: height - box.y - box.height, y: box.x, width: box.height, height: box.width } }
    : { ...shape, turns, box: { x: box.y, y: width - box.x - box.width, width: box.height, height: box.width } }
}

/** mirrored swaps left and right as the photo is seen now. */
export function mirrored(shape: Shape, photo: Size): Shape {
  const { width } = turned(photo, shape.turns)
  const turns = (shape.turns % 2 === 1 ? (shape.turns + 2) % 4 : shape.turns) as Shape["turns"]
  return { turns, mirrored: !shape.mirrored, box: { ...shape.box, x: width - shape.box.x - shape.box.width } }
}

/** framed gives the frame of a ratio around the middle of the photo: the largest inside of it, or the smallest around it. */
export function framed(size: Size, ratio: number, extend: boolean): Box {
  const wider = ratio > size.width / size.height
  const byWidth = wider !== extend
  const width = byWidth ? size.width : size.height * ratio
  const height = byWidth ? size.width / ratio : size.height
  return rounded({ x: (size.width - width) / 2, y: (size.height - height) / 2, width, height })
}

/** Which edges a handle moves: -1 the left or upper, 1 the right or lower, 0 none. Both 0 moves the frame. */
export type Handle = { h: -1 | 0 | 1; v: -1 | 0 | 1 }

export const handles: readonly Handle[] = ([-1, 0, 1] as const).flatMap((v) => ([-1, 0, 1] as const).map((h) => ({ h, v })))
  .filter(({ h, v }) => h !== 0 || v !== 0)

export const handleAt = (box: Box, { h, v }: Handle): Point => ({ x: box.x + (box.width * (h + 1)) / 2, y: box.y + (box.height * (v + 1)) / 2 })

/** reshaped moves the edges of a handle by a way; the ratio is kept when there is one, and the limits always. */
export function reshaped(box: Box, { h, v }: Handle, dx: number, dy: number, ratio: number | null): Box {
  if (h === 0 && v === 0) return rounded({ ...box, x: box.x + dx, y: box.y + dy })
  let width = box.width + h * dx
  let height = box.height + v * dy
  if (ratio !== null) {
    // A corner follows the way that asks for more; an edge moves the other side with it.
    if (h !== 0 && (v === 0 || Math.abs(width - box.width) >= Math.abs(height - box.height) * ratio)) height = width / ratio
    else width = height * ratio
  }
  ;({ width, height } = limited({ width, height }, ratio))
  const x = h === 0 && ratio === null ? box.x : along(box.x, box.width, width, h)
  const y = v === 0 && ratio === null ? box.y : along(box.y, box.height, height, v)
  return rounded({ x, y, width, height })
}

/** Where a side begins when its length changes: what was not moved stays, and the middle where nothing on it was. */
const along = (start: number, old: number, length: number, way: number) => (way < 0 ? start + old - length : way > 0 ? start : start + (old - length) / 2)

const between = (n: number, high: number) => Math.max(0, Math.min(Math.max(0, high), n))

/** How long a side may become that keeps what its handle does not move. */
const room = (start: number, length: number, way: number, whole: number) =>
  way < 0 ? start + length : way > 0 ? whole - start : 2 * Math.min(start + length / 2, whole - start - length / 2)

/** kept brings a frame that a handle made back inside the photo; what the handle does not move stays where it is. */
export function kept(box: Box, { h, v }: Handle, ratio: number | null, photo: Size): Box {
  if (h === 0 && v === 0) return { ...box, x: between(box.x, photo.width - box.width), y: between(box.y, photo.height - box.height) }
  const [across, down] = [room(box.x, box.width, h, photo.width), room(box.y, box.height, v, photo.height)]
  let [width, height] = [Math.min(box.width, across), Math.min(box.height, down)]
  if (ratio !== null) {
    const part = Math.min(width / box.width, height / box.height)
    ;[width, height] = [box.width * part, box.height * part]
  }
  if (width < 1 || height < 1) return box // the frame lies outside already
  const next = { x: along(box.x, box.width, width, h), y: along(box.y, box.height, height, v), width, height }
  const [left, top] = [Math.ceil(next.x - 1e-6), Math.ceil(next.y - 1e-6)]
  return { x: left, y: top, width: Math.max(1, Math.floor(next.x + width - left + 1e-6)), height: Math.max(1, Math.floor(next.y + height - top + 1e-6)) }
}

function limited({ width, height }: Size, ratio: number | null): Size {
  const clamp = (n: number) => Math.min(sideMax, Math.max(sideMin, n))
  if (ratio === null) {
    const size = { width: clamp(width), height: clamp(height) }
    return size.width * size.height > pixelsMax ? limited(size, size.width / size.height) : size
  }
  const low = Math.max(sideMin, sideMin * ratio)
  const high = Math.min(sideMax, sideMax * ratio, Math.sqrt(pixelsMax * ratio))
  const bounded = Math.max(low, Math.min(high, width))
  return { width: bounded, height: bounded / ratio }
}

/** Edges lie on pixels; rounding never goes over the limits. */
function rounded({ x, y, width, height }: Box): Box {
  let [w, h] = [Math.max(1, Math.round(width)), Math.max(1, Math.round(height))]
  if (w * h > pixelsMax) [w, h] = [Math.floor(width), Math.floor(height)]
  return { x: Math.round(x), y: Math.round(y), width: w, height: h }
}

/** The part of the frame that the photo covers, in pixels of the frame; null where they do not meet. */
export function covered(box: Box, size: Size): Box | null {
  const [left, top] = [Math.max(0, -box.x), Math.max(0, -box.y)]
  const [right, bottom] = [Math.min(box.width, size.width - box.x), Math.min(box.height, size.height - box.y)]
  return right > left && bottom > top ? { x: left, y: top, width: right - left, height: bottom - top } : null
}

/** inside is the part of a frame that the photo covers, as a frame; null where they do not meet. */
export function inside(box: Box, size: Size): Box | null {
  const part = covered(box, size)
  return part && { ...part, x: box.x + part.x, y: box.y + part.y }
}

/** goesBeyond tells whether there is something new in the frame. */
export function goesBeyond(box: Box, size: Size): boolean {
  return box.x < 0 || box.y < 0 || box.x + box.width > size.width || box.y + box.height > size.height
}

/** matrixOf is the way of a pixel of the photo into the frame: a b c d e f, as canvas and CSS write it. */
export function matrixOf({ turns, mirrored: mirror, box }: Shape, photo: Size): readonly [number, number, number, number, number, number] {
  const flip = mirror ? ([-1, 0, 0, 1, photo.width, 0] as const) : ([1, 0, 0, 1, 0, 0] as const)
  const { width: w, height: h } = photo
  const turn = ([[1, 0, 0, 1, 0, 0], [0, 1, -1, 0, h, 0], [-1, 0, 0, -1, w, h], [0, -1, 1, 0, 0, w]] as const)[turns]
  const [a, b, c, d, e, f] = turn
  const [p, q, r, s, t, u] = flip
  return [a * p + c * q, b * p + d * q, a * r + c * s, b * r + d * s, a * t + c * u + e - box.x, b * t + d * u + f - box.y]
}
