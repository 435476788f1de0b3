import type { Grey, MaskDraft, MaskOp } from "./mask"
import type { Size } from "./view"
import { feathered } from "./blur"

type Context = CanvasRenderingContext2D | OffscreenCanvasRenderingContext2D

/** So many rows are computed at once: a canvas of a whole large photo would take 200 MB, and phones refuse it. */
const bandRows = 256

/** paint draws one step with the colour that is set. The context's scale is pixels of the photo. */
export function paint(context: Context, op: MaskOp, { width, height }: Size): void {
  switch (op.kind) {
    case "clear":
      context.clearRect(0, 0, width, height)
      return
    case "invert":
      context.globalCompositeOperation = "source-out"
      context.fillRect(0, 0, width, height)
      break
    case "stroke":
      context.globalCompositeOperation = op.erase ? "destination-out" : "source-over"
      stroke(context, op.points, op.size)
      break
    case "rectangle": {
      const [a, b] = op.points
      context.globalCompositeOperation = op.erase ? "destination-out" : "source-over"
      if (a && b) context.fillRect(Math.min(a.x, b.x), Math.min(a.y, b.y), Math.abs(a.x - b.x), Math.abs(a.y - b.y))
      break
    }
    case "lasso":
      context.globalCompositeOperation = op.erase ? "destination-out" : "source-over"
      context.beginPath()
      for (const { x, y } of op.points) context.lineTo(x, y)
      context.fill()
  }
  context.globalCompositeOperation = "source-over"
}

/** stroke draws what lies from one point of a stroke on. */
export function stroke(context: Context, points: readonly { x: number; y: number }[], size: number): void {
  const [first] = points
  if (!first) return
  if (points.every(({ x, y }) => x === first.x && y === first.y)) { // a line without length draws nothing
    context.beginPath()
    context.arc(first.x, first.y, size / 2, 0, 2 * Math.PI)
    context.fill()
    return
  }
  context.lineWidth = size
  context.lineCap = "round"
  context.lineJoin = "round"
  context.beginPath()
  context.moveTo(first.x, first.y)
  for (const { x, y } of points.slice(1)) context.lineTo(x, y)
  context.stroke()
}

/** rasterized computes the mask at the photo's own size. */
export function rasterized(draft: MaskDraft, size: Size): Grey {
  const { width, height } = size
  const data = new Uint8Array(width * height)
  const canvas = new OffscreenCanvas(width, Math.min(bandRows, height))
  const context = canvas.getContext("2d", { willReadFrequently: true })
  if (!context) throw new Error("no canvas")
  for (let top = 0; top < height; top += canvas.height) {
    const rows = Math.min(canvas.height, height - top)
    context.setTransform(1, 0, 0, 1, 0, 0)
    context.clearRect(0, 0, width, canvas.height)
    if (draft.base) context.putImageData(alphaOf(draft.base, top, rows), 0, 0)
    context.setTransform(1, 0, 0, 1, 0, -top)
    for (const op of draft.ops) paint(context, op, size)
    const { data: rgba } = context.getImageData(0, 0, width, rows)
    for (let i = 0; i < width * rows; i++) data[top * width + i] = rgba[4 * i + 3] ?? 0
  }
  return feathered({ width, height, data }, draft.feather)
}

function alphaOf(base: Grey, top: number, rows: number): ImageData {
  const image = new ImageData(base.width, rows)
  for (let i = 0; i < base.width * rows; i++) image.data[4 * i + 3] = base.data[top * base.width + i] ?? 0
  return image
}

/** greyOf reads a mask that was saved. */
export async function greyOf(file: Blob): Promise<Grey> {
  const bitmap = await createImageBitmap(file, { colorSpaceConversion: "none" })
  const { width, height } = bitmap
  const data = new Uint8Array(width * height)
  const canvas = new OffscreenCanvas(width, Math.min(bandRows, height))
  const context = canvas.getContext("2d", { willReadFrequently: true })
  if (!context) throw new Error("no canvas")
  for (let top = 0; top < height; top += canvas.height) {
    const rows = Math.min(canvas.height, height - top)
    context.drawImage(bitmap, 0, top, width, rows, 0, 0, width, rows)
    const { data: rgba } = context.getImageData(0, 0, width, rows)
    for (let i = 0; i < width * rows; i++) data[top * width + i] = rgba[4 * i] ?? 0
  }
  bitmap.close()
  return { width, height, data }
}

/** The base as it is shown while the mask is drawn: a point of it for each of the canvas. */
export function shownBase(base: Grey, canvas: Size, color: readonly [number, number, number]): ImageData {
  const image = new ImageData(canvas.width, canvas.height)
  for (let y = 0; y < canvas.height; y++) {
    for (let x = 0; x < canvas.width; x++) {
      const from = Math.floor((y * base.height) / canvas.height) * base.width + Math.floor((x * base.width) / canvas.width)
      image.data.set([...color, base.data[from] ?? 0], 4 * (y * canvas.width + x))
    }
  }
  return image
}
