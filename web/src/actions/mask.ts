import type { PlainKey } from "../lib/i18n"
import type { MaskTool } from "../lib/mask"
import { draw, redoMask, stepBrush, undoMask, useMask } from "../lib/mask-store"
import { useUi } from "../lib/ui-store"
import type { Action } from "./action"
import * as commands from "./commands"
import { prepares, type Situation } from "./situation"

const inMask = (s: Situation) => s.editor === "mask"

/** mask opens the editor of what may change of the first picture of the next edit. */
export const mask: Action = {
  name: "mask", label: "action.mask", group: "group.edit", keys: ["B"],
  enabled: (s) => prepares(s) && s.first,
  perform: () => void commands.openEditor("mask"),
}

const tool = (name: MaskTool, label: PlainKey, key: string): Action => ({
  name: `mask-${name}`, label, group: "group.mask", scope: "mask", keys: [key], enabled: inMask,
  perform: () => useMask.setState({ tool: name }),
})

export const maskBrush = tool("brush", "mask.brush.tool", "B")

export const maskEraser = tool("eraser", "mask.eraser", "X")

export const maskRectangle = tool("rectangle", "mask.rectangle", "R")

export const maskLasso = tool("lasso", "mask.lasso", "L")

export const brushSmaller: Action = {
  name: "mask-smaller", label: "mask.smaller", group: "group.mask", scope: "mask", keys: ["["], repeats: true,
  enabled: inMask, perform: () => stepBrush(-1),
}

export const brushBigger: Action = {
  name: "mask-bigger", label: "mask.bigger", group: "group.mask", scope: "mask", keys: ["]"], repeats: true,
  enabled: inMask, perform: () => stepBrush(1),
}

export const maskInvert: Action = {
  name: "mask-invert", label: "mask.invert", group: "group.mask", scope: "mask", keys: ["I"],
  enabled: inMask, perform: () => draw({ kind: "invert" }),
}

export const maskUndo: Action = {
  name: "mask-undo", label: "mask.undo", group: "group.mask", scope: "mask", keys: ["Mod+Z"], repeats: true,
  enabled: inMask, perform: undoMask,
}

export const maskRedo: Action = {
  name: "mask-redo", label: "mask.redo", group: "group.mask", scope: "mask", keys: ["Mod+Shift+Z", "Mod+Y"], repeats: true,
  enabled: inMask, perform: redoMask,
}

export const maskDone: Action = {
  name: "mask-done", label: "mask.done", group: "group.mask", scope: "mask", keys: ["Enter"],
  enabled: inMask, perform: () => void commands.finishEditor(),
}

export const maskCancel: Action = {
  name: "mask-cancel", label: "mask.cancel", group: "group.mask", scope: "mask", keys: ["Escape"],
  enabled: inMask, perform: () => useUi.setState({ editor: null }),
}
