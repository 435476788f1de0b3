import { useUi } from "../lib/ui-store"
import type { Action } from "./action"
import * as commands from "./commands"
import { always, focus } from "./situation"

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
