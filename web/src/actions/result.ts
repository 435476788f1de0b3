import type { Job } from "../api/gen/qie"
import { fileName } from "../lib/format"
import type { Action } from "./action"
import * as commands from "./commands"
import { focus, succeeded } from "./situation"

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

function save(job: Job): void {
  const link = document.createElement("a")
  link.href = `${job.result?.url ?? ""}?download=1`
  link.download = fileName(job.images[0]?.name, job.id)
  link.click()
}
