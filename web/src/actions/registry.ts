import type { Action } from "./action"
import { crop, cropLeft, cropRight, cropMirror, cropDone, cropCancel } from "./crop"
import { run, cancel, runNext, pick, prompt, promptBefore, promptAfter, lockSeed, settings, newEdit } from "./edit"
import {
  mask, maskBrush, maskEraser, maskRectangle, maskLasso, brushSmaller, brushBigger, maskInvert, maskUndo, maskRedo, maskDone,
  maskCancel,
} from "./mask"
import { download, copy, editResult, again, retry } from "./result"
import { undo, redo, star, moreLike, duplicate, discard } from "./tree"
import { tree, older, newer, compare, zoomFit, zoomActual, zoomIn, zoomOut, search, theme, notify, system, help } from "./view"

/** Every action there is: buttons, menus, keys and the help page are fed from here. */
export const actions: readonly Action[] = [
  run, cancel, runNext, pick, prompt, promptBefore, promptAfter, lockSeed, settings, newEdit,
  download, copy, editResult, again, retry,
  undo, redo, star, moreLike, duplicate, discard,
  tree, older, newer, compare, zoomFit, zoomActual, zoomIn, zoomOut, search, theme, notify, system, help,
  mask, maskBrush, maskEraser, maskRectangle, maskLasso, brushSmaller, brushBigger, maskInvert, maskUndo, maskRedo, maskDone,
  maskCancel,
  crop, cropLeft, cropRight, cropMirror, cropDone, cropCancel,
]
