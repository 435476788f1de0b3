import type { Job } from "../api/gen/qie"
import { baseOf } from "../lib/base"
import { fileName } from "../lib/format"
import type { PlainKey } from "../lib/i18n"
import type { MaskTool } from "../lib/mask"
import { draw, redoMask, stepBrush, undoMask, useMask } from "../lib/mask-store"
import { mirrorPhoto, turnPhoto } from "../lib/shape-store"
import { compareModes, isDark, shownSource, useUi, type Editor } from "../lib/ui-store"
import { viewBook } from "../lib/view-book"
import { readBoard, readHistory, readJob } from "../live/board"
import { hasEnded, isActive } from "../live/progress"
import { askToNotify, canNotify } from "../live/title"
import * as commands from "./commands"

/** What an action may look at. Buttons, keys and the help page all ask with the same eyes. */
export type Situation = {
  ready: boolean
  sources: number
  prompt: string
  sending: boolean
  selected: Job | null
  editor: Editor
  /** the picture on the stage is the first of the next edit, which is the one that a mask is of */
  first: boolean
  /** the photo of a tree is on the stage, behind an undo */
  atPhoto: boolean
  /** the job that cancel means: the one on the stage, else the one that runs */
  stoppable: Job | null
}

/** One object feeds the button, the shortcut and the line in the help. */
export type Action = {
  name: string
  label: PlainKey
  group: "group.edit" | "group.result" | "group.tree" | "group.view" | "group.mask" | "group.crop"
  /** the editor that it belongs to; absent is the page itself */
  scope?: NonNullable<Editor>
  /** possible while an editor is open, as what only changes the view is */
  everywhere?: true
  /** where text is written or selected the key belongs to that */
  textFirst?: true
  /** a key that is held does it again and again */
  repeats?: true
  /** the keys mean something else where one writes, such as undo */
  writes?: true
  /** as KeyboardEvent.key; Mod is Ctrl, or Command on a Mac */
  keys: readonly string[]
  enabled: (s: Situation) => boolean
  perform: (s: Situation) => void
}

const zoomStep = 1.5
const always = () => true
const succeeded = (s: Situation) => s.selected?.state === "succeeded"
const focus = (id: string) => document.getElementById(id)?.focus()

export const run: Action = {
  name: "run", label: "action.run", group: "group.edit", keys: ["Mod+Enter"], everywhere: true,
  enabled: (s) => s.ready && s.sources > 0 && s.prompt.trim() !== "" && !s.sending,
  perform: () => void commands.run(),
}

export const cancel: Action = {
  name: "cancel", label: "action.cancel", group: "group.edit", keys: ["Shift+X"],
  enabled: (s) => s.stoppable !== null && s.stoppable.state !== "canceling",
  perform: (s) => { if (s.stoppable) void commands.cancel(s.stoppable.id) },
}

export const runNext: Action = {
  name: "run-next", label: "action.run-next", group: "group.edit", keys: ["Mod+Shift+Enter"],
  enabled: (s) => run.enabled(s), perform: () => void commands.run(true),
}

export const pick: Action = {
  name: "pick", label: "action.pick", group: "group.edit", keys: ["O"],
  enabled: always, perform: commands.pickFiles,
}

export const prompt: Action = {
  name: "prompt", label: "action.prompt", group: "group.edit", keys: ["P"],
  enabled: always, perform: () => focus("prompt"),
}

export const promptBefore: Action = {
  name: "prompt-before", label: "action.prompt-before", group: "group.edit", keys: ["Alt+ArrowUp"],
  enabled: always, perform: () => commands.promptStep(1),
}

export const promptAfter: Action = {
  name: "prompt-after", label: "action.prompt-after", group: "group.edit", keys: ["Alt+ArrowDown"],
  enabled: always, perform: () => commands.promptStep(-1),
}

export const lockSeed: Action = {
  name: "lock-seed", label: "action.lock-seed", group: "group.edit", keys: ["S"],
  enabled: always, perform: commands.lockSeed,
}

export const settings: Action = {
  name: "settings", label: "action.settings", group: "group.edit", keys: [","],
  enabled: always, perform: () => useUi.setState((ui) => ({ settingsOpen: !ui.settingsOpen })),
}

export const newEdit: Action = {
  name: "new", label: "action.new", group: "group.edit", keys: ["N"],
  enabled: (s) => s.selected !== null,
  perform: () => { useUi.setState({ selected: null, problem: null }); focus("prompt") },
}

export const download: Action = {
  name: "download", label: "action.download", group: "group.result", keys: ["D"],
  enabled: succeeded,
  perform: (s) => { if (s.selected?.result) save(s.selected) },
}

export const copy: Action = {
  name: "copy", label: "action.copy", group: "group.result", keys: ["Mod+C"], textFirst: true,
  enabled: succeeded,
  perform: (s) => { if (s.selected) void commands.copyResult(s.selected) },
}

export const editResult: Action = {
  name: "edit-result", label: "action.edit-result", group: "group.result", keys: ["E"],
  enabled: succeeded,
  perform: (s) => { if (s.selected) void commands.editResult(s.selected).then(() => focus("prompt")) },
}

export const again: Action = {
  name: "again", label: "action.again", group: "group.result", keys: ["R"],
  enabled: (s) => s.selected !== null,
  perform: (s) => { if (s.selected) void commands.again(s.selected).then(() => focus("prompt")) },
}

export const retry: Action = {
  name: "retry", label: "action.retry", group: "group.result", keys: ["Shift+R"],
  enabled: (s) => s.selected?.state === "failed" || s.selected?.state === "canceled",
  perform: (s) => { if (s.selected) void commands.retry(s.selected.id) },
}

const ended = (s: Situation) => s.selected !== null && hasEnded(s.selected)

export const undo: Action = {
  name: "undo", label: "action.undo", group: "group.tree", keys: ["Mod+Z"], writes: true,
  enabled: (s) => s.selected !== null, perform: () => void commands.undo(),
}

export const redo: Action = {
  name: "redo", label: "action.redo", group: "group.tree", keys: ["Mod+Shift+Z", "Mod+Y"], writes: true,
  enabled: (s) => s.selected !== null || s.atPhoto, perform: commands.redo,
}

export const star: Action = {
  name: "star", label: "action.star", group: "group.tree", keys: ["."],
  enabled: (s) => s.selected !== null,
  perform: (s) => { if (s.selected) void commands.star(s.selected) },
}

export const moreLike: Action = {
  name: "more-like", label: "action.more-like", group: "group.tree", keys: ["V"],
  enabled: ended,
  perform: (s) => { if (s.selected) void commands.duplicate(s.selected, true) },
}

export const duplicate: Action = {
  name: "duplicate", label: "action.duplicate", group: "group.tree", keys: ["Shift+V"],
  enabled: (s) => s.selected !== null,
  perform: (s) => { if (s.selected) void commands.duplicate(s.selected, false) },
}

export const discard: Action = {
  name: "discard", label: "action.discard", group: "group.tree", keys: ["Delete", "Backspace"],
  enabled: ended,
  perform: (s) => { if (s.selected) void commands.discard([s.selected]) },
}

export const tree: Action = {
  name: "tree", label: "action.tree", group: "group.view", keys: ["G"],
  enabled: always, perform: () => useUi.setState((ui) => ({ aside: ui.aside === "tree" ? "gallery" : "tree" })),
}

export const older: Action = {
  name: "older", label: "action.older", group: "group.view", keys: ["]"],
  enabled: always, perform: () => step(1),
}

export const newer: Action = {
  name: "newer", label: "action.newer", group: "group.view", keys: ["["],
  enabled: always, perform: () => step(-1),
}

export const compare: Action = {
  name: "compare", label: "action.compare", group: "group.view", keys: ["M"],
  enabled: succeeded,
  perform: () => useUi.setState((ui) => ({ compare: compareModes[(compareModes.indexOf(ui.compare) + 1) % compareModes.length] ?? "slider" })),
}

export const zoomFit: Action = {
  name: "zoom-fit", label: "action.zoom-fit", group: "group.view", keys: ["0"],
  enabled: always, perform: () => viewBook.fit(),
}

export const zoomActual: Action = {
  name: "zoom-actual", label: "action.zoom-actual", group: "group.view", keys: ["1"],
  enabled: always, perform: () => viewBook.actual(),
}

export const zoomIn: Action = {
  name: "zoom-in", label: "action.zoom-in", group: "group.view", keys: ["+", "="],
  enabled: always, perform: () => viewBook.zoomBy(zoomStep),
}

export const zoomOut: Action = {
  name: "zoom-out", label: "action.zoom-out", group: "group.view", keys: ["-"],
  enabled: always, perform: () => viewBook.zoomBy(1 / zoomStep),
}

export const search: Action = {
  name: "search", label: "action.search", group: "group.view", keys: ["/"],
  enabled: always, perform: () => focus("history-search"),
}

export const theme: Action = {
  name: "theme", label: "action.theme", group: "group.view", keys: ["T"],
  enabled: always, perform: () => useUi.setState((ui) => ({ theme: isDark(ui.theme) ? "light" : "dark" })),
}

export const notify: Action = {
  name: "notify", label: "action.notify", group: "group.view", keys: [],
  enabled: canNotify, perform: () => void askToNotify(),
}

export const system: Action = {
  name: "system", label: "action.system", group: "group.view", keys: ["I"],
  enabled: always, perform: () => useUi.setState({ panel: "system" }),
}

export const help: Action = {
  name: "help", label: "action.help", group: "group.view", keys: ["?"],
  enabled: always, perform: () => useUi.setState({ panel: "help" }),
}

const prepares = (s: Situation) => s.sources > 0 && s.editor === null && (s.selected === null || succeeded(s))

/** mask opens the editor of what may change of the first picture of the next edit. */
export const mask: Action = {
  name: "mask", label: "action.mask", group: "group.edit", keys: ["B"],
  enabled: (s) => prepares(s) && s.first,
  perform: () => void commands.openEditor("mask"),
}

const inMask = (s: Situation) => s.editor === "mask"
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

/** crop opens the editor of the frame of the picture on the stage. */
export const crop: Action = {
  name: "crop", label: "action.crop", group: "group.edit", keys: ["C"],
  enabled: prepares,
  perform: () => void commands.openEditor("crop"),
}

const inCrop = (s: Situation) => s.editor === "crop"

export const cropLeft: Action = {
  name: "crop-left", label: "crop.left", group: "group.crop", scope: "crop", keys: ["L"],
  enabled: inCrop, perform: () => turnPhoto(-1),
}

export const cropRight: Action = {
  name: "crop-right", label: "crop.right", group: "group.crop", scope: "crop", keys: ["R"],
  enabled: inCrop, perform: () => turnPhoto(1),
}

export const cropMirror: Action = {
  name: "crop-mirror", label: "crop.mirror", group: "group.crop", scope: "crop", keys: ["M"],
  enabled: inCrop, perform: mirrorPhoto,
}

export const cropDone: Action = {
  name: "crop-done", label: "crop.done", group: "group.crop", scope: "crop", keys: ["Enter"],
  enabled: inCrop, perform: () => void commands.finishEditor(),
}

export const cropCancel: Action = {
  name: "crop-cancel", label: "mask.cancel", group: "group.crop", scope: "crop", keys: ["Escape"],
  enabled: inCrop, perform: () => useUi.setState({ editor: null }),
}

export const actions: readonly Action[] = [
  run, runNext, cancel, pick, prompt, promptBefore, promptAfter, lockSeed, settings, newEdit, download, copy, editResult, again, retry,
  undo, redo, star, moreLike, duplicate, discard, tree, older, newer, compare, zoomFit, zoomActual, zoomIn, zoomOut, search, theme,
  notify, system, help, mask, maskBrush, maskEraser, maskRectangle, maskLasso, brushSmaller, brushBigger, maskInvert, maskUndo,
  maskRedo, maskDone, maskCancel, crop, cropLeft, cropRight, cropMirror, cropDone, cropCancel,
]

export function situation(): Situation {
  const board = readBoard()
  const ui = useUi.getState()
  const jobs = board ? Object.values(board.jobs) : []
  return situationOf({
    ready: board !== null, ...given(ui, readJob(ui.selected)), prompt: ui.prompt, sending: ui.sending, editor: ui.editor,
    selected: readJob(ui.selected), jobs,
  })
}

/** given is what the next edit begins from, as far as actions look at it. */
export function given(ui: ReturnType<typeof useUi.getState>, selected: Job | null): Pick<Situation, "sources" | "first" | "atPhoto"> {
  const sources = Math.max(ui.sources.length, baseOf(selected, ui.from, ui.sources.length) ? 1 : 0)
  const first = selected !== null || shownSource(ui) === ui.sources[0]
  return { sources, first, atPhoto: selected === null && ui.root !== null && ui.sources[0]?.id === ui.root.source }
}

export function situationOf(at: Omit<Situation, "stoppable"> & { jobs: readonly Job[] }): Situation {
  const { jobs, ...rest } = at
  const open = rest.selected && !hasEnded(rest.selected) ? rest.selected : null
  return { ...rest, stoppable: open ?? jobs.find(isActive) ?? null }
}

function step(by: 1 | -1): void {
  const jobs = readHistory()
  const i = jobs.findIndex((job) => job.id === useUi.getState().selected)
  const next = jobs[Math.max(0, Math.min(jobs.length - 1, i + by))]
  if (next) commands.select(next)
}

function save(job: Job): void {
  const link = document.createElement("a")
  link.href = `${job.result?.url ?? ""}?download=1`
  link.download = fileName(job.images[0]?.name, job.id)
  link.click()
}
