import type { Point, Size } from "./view"

/** What of a photo may change, as the person drew it. All numbers are pixels of the photo, however near it is looked at. */

export const maskTools = ["brush", "eraser", "rectangle", "lasso"] as const
export type MaskTool = (typeof maskTools)[number]

export type MaskOp =
  | { kind: "stroke"; erase: boolean; size: number; points: readonly Point[] }
  | { kind: "rectangle" | "lasso"; erase: boolean; points: readonly Point[] }
  | { kind: "invert" }
  | { kind: "clear" }

/** One byte a pixel, row by row: 255 may change. */
export type Grey = Size & { data: Uint8Array }

/** A mask while it is drawn. base is one that came from elsewhere, feather how far its edge is softened. */
export type MaskDraft = { base: Grey | null; ops: readonly MaskOp[]; undone: readonly MaskOp[]; feather: number }

export const newDraft = (base: Grey | null = null): MaskDraft => ({ base, ops: [], undone: [], feather: 0 })

/** drawn adds a step; what was undone before is gone then. */
export const drawn = (draft: MaskDraft, op: MaskOp): MaskDraft => ({ ...draft, ops: [...draft.ops, op], undone: [] })

export function undone(draft: MaskDraft): MaskDraft {
  const last = draft.ops.at(-1)
  return last ? { ...draft, ops: draft.ops.slice(0, -1), undone: [...draft.undone, last] } : draft
}

export function redone(draft: MaskDraft): MaskDraft {
  const last = draft.undone.at(-1)
  return last ? { ...draft, ops: [...draft.ops, last], undone: draft.undone.slice(0, -1) } : draft
}

/** isBlank tells whether nothing can be selected; a mask whose every stroke was rubbed out is found out when it is computed. */
export function isBlank(draft: MaskDraft): boolean {
  const from = draft.ops.findLastIndex((op) => op.kind === "clear")
  return (from >= 0 || draft.base === null) && draft.ops.slice(from + 1).every((op) => op.kind !== "invert" && "erase" in op && op.erase)
}

/** Sizes of the brush go from a pixel to a quarter of the longer side, in steps that feel equal. */
export const brushMax = ({ width, height }: Size): number => Math.max(4, Math.round(Math.max(width, height) / 4))
const brushStep = 1.25

export function brushStepped(size: number, by: 1 | -1, of: Size): number {
  const next = by > 0 ? Math.max(size + 1, size * brushStep) : Math.min(size - 1, size / brushStep)
  return Math.round(Math.min(brushMax(of), Math.max(1, next)))
}

export const brushOf = ({ width, height }: Size): number => Math.max(4, Math.round(Math.max(width, height) / 20))
export const featherMax = ({ width, height }: Size): number => Math.max(3, Math.round(Math.max(width, height) / 40))
