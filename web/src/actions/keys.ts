import type { Action } from "./action"
import { actions } from "./registry"
import { situation } from "./situation"
import { useUi, type Editor } from "../lib/ui-store"

type Press = Pick<KeyboardEvent, "key" | "ctrlKey" | "metaKey" | "altKey" | "shiftKey">

const isMac = typeof navigator !== "undefined" && /Mac|iPhone|iPad/.test(navigator.userAgent)

/** chord writes a key press as the registry does. Shift is named for letters only: it is part of "?" already. */
export function chord(e: Press): string {
  const letter = /^[a-z]$/i.test(e.key)
  const parts = [
    e.ctrlKey || e.metaKey ? "Mod" : "",
    e.altKey ? "Alt" : "",
    e.shiftKey && (letter || e.key.length > 1) ? "Shift" : "",
    letter ? e.key.toUpperCase() : e.key,
  ]
  return parts.filter(Boolean).join("+")
}

/** isSingle: WCAG 2.1.4, a key without Ctrl or Command must be possible to switch off. */
export const isSingle = (key: string): boolean => !key.startsWith("Mod+") && !key.startsWith("Alt+")

/** find gives what a key means: what the open editor makes of it, else the page. An editor leaves only the view to the page. */
export function find(key: string, editor: Editor = null): Action | undefined {
  const means = (action: Action) => action.keys.includes(key)
  const own = actions.find((action) => (action.scope ?? null) === editor && means(action))
  if (own || editor === null) return own
  return actions.find((action) => !action.scope && (action.everywhere || action.group === "group.view") && means(action))
}

/** shown writes a key for people. */
export function shown(key: string): string {
  return key.replace("Mod", isMac ? "⌘" : "Ctrl").replace("Shift", "⇧").replaceAll("+", isMac ? "" : " ")
}

/** ariaKeys writes keys for aria-keyshortcuts. */
export const ariaKeys = (keys: readonly string[]): string =>
  keys.map((key) => key.replace("Mod", isMac ? "Meta" : "Control")).join(" ")

/** writes tells whether keys go into what is written there. */
export function writes(target: EventTarget | null): boolean {
  if (!(target instanceof HTMLElement)) return false
  if (target instanceof HTMLInputElement) return !["range", "checkbox", "radio", "button", "file"].includes(target.type)
  return target instanceof HTMLTextAreaElement || target instanceof HTMLSelectElement || target.isContentEditable
}

function pressed(e: KeyboardEvent): void {
  if (e.defaultPrevented || e.isComposing) return
  const key = chord(e)
  const { singleKeys, panel, editor } = useUi.getState()
  const action = find(key, editor)
  if (!action || panel !== null) return
  if (isSingle(key) && !singleKeys) return
  if ((isSingle(key) || action.writes) && writes(e.target)) return
  if (key === "Enter" && e.target instanceof HTMLButtonElement) return // it presses the button
  if (e.repeat && !action.repeats) return
  if (action.textFirst && (writes(e.target) || document.getSelection()?.isCollapsed === false)) return
  const now = situation()
  if (!action.enabled(now)) return
  e.preventDefault()
  action.perform(now)
}

export function listenToKeys(): void {
  addEventListener("keydown", pressed)
}
