import type { Job } from "../api/gen/qie"
import { fileName } from "../lib/format"
import type { PlainKey } from "../lib/i18n"
import { compareModes, isDark, useUi } from "../lib/ui-store"
import { viewBook } from "../lib/view-book"
import { keepJob, readBoard, readHistory, readJob } from "../live/board"
import { hasEnded, isActive } from "../live/progress"
import * as commands from "./commands"

/** What an action may look at. Buttons, keys and the help page all ask with the same eyes. */
export type Situation = {
  ready: boolean
  sources: number
  prompt: string
  sending: boolean
  selected: Job | null
  /** the job that cancel means: the one on the stage, else the one that runs */
  stoppable: Job | null
}

/** One object feeds the button, the shortcut and the line in the help. */
export type Action = {
  name: string
  label: PlainKey
  group: "group.edit" | "group.result" | "group.view"
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
  name: "run", label: "action.run", group: "group.edit", keys: ["Mod+Enter"],
  enabled: (s) => s.ready && s.sources > 0 && s.prompt.trim() !== "" && !s.sending,
  perform: () => void commands.run(),
}

export const cancel: Action = {
  name: "cancel", label: "action.cancel", group: "group.edit", keys: ["Shift+X"],
  enabled: (s) => s.stoppable !== null && s.stoppable.state !== "canceling",
  perform: (s) => { if (s.stoppable) void commands.cancel(s.stoppable.id) },
}

export const pick: Action = {
  name: "pick", label: "action.pick", group: "group.edit", keys: ["O"],
  enabled: always, perform: commands.pickFiles,
}

export const prompt: Action = {
  name: "prompt", label: "action.prompt", group: "group.edit", keys: ["P"],
  enabled: always, perform: () => focus("prompt"),
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

export const system: Action = {
  name: "system", label: "action.system", group: "group.view", keys: ["I"],
  enabled: always, perform: () => useUi.setState({ panel: "system" }),
}

export const help: Action = {
  name: "help", label: "action.help", group: "group.view", keys: ["?"],
  enabled: always, perform: () => useUi.setState({ panel: "help" }),
}

export const actions: readonly Action[] = [
  run, cancel, pick, prompt, settings, newEdit, download, editResult, again, retry, older, newer, compare, zoomFit, zoomActual,
  zoomIn, zoomOut, search, theme, system, help,
]

export function situation(): Situation {
  const board = readBoard()
  const ui = useUi.getState()
  const jobs = board ? Object.values(board.jobs) : []
  return situationOf({
    ready: board !== null, sources: ui.sources.length, prompt: ui.prompt, sending: ui.sending,
    selected: readJob(ui.selected), jobs,
  })
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
  if (!next) return
  keepJob(next)
  useUi.setState({ selected: next.id, problem: null })
}

function save(job: Job): void {
  const link = document.createElement("a")
  link.href = `${job.result?.url ?? ""}?download=1`
  link.download = fileName(job.images[0]?.name, job.id)
  link.click()
}
