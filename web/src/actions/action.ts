import type { PlainKey } from "../lib/i18n"
import type { Editor } from "../lib/ui-store"
import type { Situation } from "./situation"

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
