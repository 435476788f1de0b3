import { create } from "zustand"
import { brushStepped, drawn, newDraft, redone, undone, type MaskDraft, type MaskOp, type MaskTool } from "./mask"
import type { Size } from "./view"

type MaskState = {
  tool: MaskTool
  /** diameter in pixels of the photo */
  brush: number
  size: Size
  draft: MaskDraft
}

/** The mask that is being drawn. Buttons, keys and the canvas share it. */
export const useMask = create<MaskState>(() => ({ tool: "brush", brush: 0, size: { width: 1, height: 1 }, draft: newDraft() }))

const change = (how: (draft: MaskDraft) => MaskDraft): void => useMask.setState(({ draft }) => ({ draft: how(draft) }))

export const draw = (op: MaskOp): void => change((draft) => drawn(draft, op))
export const undoMask = (): void => change(undone)
export const redoMask = (): void => change(redone)
export const stepBrush = (by: 1 | -1): void => useMask.setState(({ brush, size }) => ({ brush: brushStepped(brush, by, size) }))
