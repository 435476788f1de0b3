import { isBlank, type MaskDraft } from "./mask"
import type { Size } from "./view"
import { greyPng } from "./grey-png"
import { rasterized } from "./mask-raster"

/** fileOfMask computes a mask at the photo's size. One that selects nothing is no mask. */
export async function fileOfMask(draft: MaskDraft, size: Size): Promise<{ file: File; url: string } | null> {
  const grey = isBlank(draft) ? null : rasterized(draft, size)
  if (!grey?.data.some((value) => value > 0)) return null
  const file = new File([await greyPng(grey)], "mask.png", { type: "image/png" })
  return { file, url: URL.createObjectURL(file) }
}
