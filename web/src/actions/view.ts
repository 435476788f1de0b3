import { compareModes, isDark, useUi } from "../lib/ui-store"
import { viewBook } from "../lib/view-book"
import { readHistory } from "../live/board"
import { askToNotify, canNotify } from "../live/title"
import type { Action } from "./action"
import * as commands from "./commands"
import { always, focus, succeeded } from "./situation"

const zoomStep = 1.5

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

function step(by: 1 | -1): void {
  const jobs = readHistory()
  const i = jobs.findIndex((job) => job.id === useUi.getState().selected)
  const next = jobs[Math.max(0, Math.min(jobs.length - 1, i + by))]
  if (next) commands.select(next)
}
