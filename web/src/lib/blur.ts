import type { Grey } from "./mask"

/** Three boxes are nearly a bell; together they reach exactly as far as was asked, so that nothing beyond is touched. */
const passes = 3

/** feathered softens the edges of a mask: a pixel changes only when another grey is at most reach pixels away. */
export function feathered(mask: Grey, reach: number): Grey {
  const radius = Math.floor(reach / passes)
  if (radius < 1) return mask
  let from: Uint8Array = mask.data.slice()
  let to: Uint8Array = new Uint8Array(from.length)
  const { width, height } = mask
  for (let pass = 0; pass < passes; pass++) {
    for (let y = 0; y < height; y++) blurLine(from, to, y * width, 1, width, radius)
    for (let x = 0; x < width; x++) blurLine(to, from, x, width, height, radius)
  }
  to = from
  return { width, height, data: to }
}

/** One line of the picture, its ends continued by themselves. */
function blurLine(from: Uint8Array, to: Uint8Array, start: number, step: number, length: number, radius: number): void {
  const at = (i: number) => from[start + Math.min(length - 1, Math.max(0, i)) * step] ?? 0
  const span = 2 * radius + 1
  let sum = 0
  for (let i = -radius; i <= radius; i++) sum += at(i)
  for (let i = 0; i < length; i++) {
    to[start + i * step] = Math.round(sum / span)
    sum += at(i + radius + 1) - at(i - radius)
  }
}
