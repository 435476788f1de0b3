import { covered, goesBeyond, isWhole, matrixOf, turned, type Shape } from "../../lib/shape"
import type { Size } from "../../lib/view"
import type { MaskDraft } from "../../lib/mask"

/** The photo and the new part meet in a band of so many pixels in a thousand of the frame's longer side. */
const seam = 0.01

/** reframed makes the picture that is sent: turned and framed at full resolution; what is new is white. */
export async function reframed(file: File, shape: Shape, photo: Size): Promise<File> {
  if (isWhole(shape, photo)) return file
  const { width, height } = shape.box
  const bitmap = await createImageBitmap(file)
  try {
    const canvas = new OffscreenCanvas(width, height)
    const context = canvas.getContext("2d")
    if (!context) throw new Error("no canvas")
    context.fillStyle = "white"
    context.fillRect(0, 0, width, height)
    context.setTransform(...matrixOf(shape, photo))
    context.drawImage(bitmap, 0, 0)
    const blob = await canvas.convertToBlob({ type: "image/png" })
    return new File([blob], file.name.replace(/\.[^.]*$/, "") + ".png", { type: "image/png" })
  } finally {
    bitmap.close()
  }
}

/** newPart is the mask of what an extended frame added, with a soft seam on the photo; null when nothing was added. */
export function newPart(shape: Shape, photo: Size): MaskDraft | null {
  const size = turned(photo, shape.turns)
  const { box } = shape
  if (!goesBeyond(box, size)) return null
  const all = { kind: "rectangle" as const, erase: false, points: [{ x: 0, y: 0 }, { x: box.width, y: box.height }] }
  const old = covered(box, size)
  if (!old) return { base: null, ops: [all], undone: [], feather: 0 }
  const band = Math.max(3, Math.round(Math.max(box.width, box.height) * seam))
  // The soft edge reaches as far as the band is wide, so the new part is changed whole and the photo only in the seam.
  const inset = (gap: number) => (gap > 0 ? band : 0)
  const [left, top] = [old.x + inset(old.x), old.y + inset(old.y)]
  const [right, bottom] = [
    old.x + old.width - inset(box.width - old.x - old.width), old.y + old.height - inset(box.height - old.y - old.height),
  ]
  return {
    base: null, ops: [all, { kind: "rectangle", erase: true, points: [{ x: left, y: top }, { x: right, y: bottom }] }], undone: [], feather: band,
  }
}
