import { mirrorPhoto, turnPhoto } from "../lib/shape-store"
import { useUi } from "../lib/ui-store"
import type { Action } from "./action"
import * as commands from "./commands"
import { prepares, type Situation } from "./situation"

const inCrop = (s: Situation) => s.editor === "crop"

/** crop opens the editor of the frame of the picture on the stage. */
export const crop: Action = {
  name: "crop", label: "action.crop", group: "group.edit", keys: ["C"],
  enabled: prepares,
  perform: () => void commands.openEditor("crop"),
}

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
