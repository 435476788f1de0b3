import type { Action } from "./action"
import * as commands from "./commands"
import { ended } from "./situation"

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
