import { create } from "zustand"
import type { Sentence } from "./errors"
import type { MaskDraft } from "./mask"
import type { Shape } from "./shape"
import { speak, type Language } from "./i18n"
import { defaults, type Settings } from "./recipe"

/** What of a photo may change, as the file that is sent. draft is how it was drawn, where that happened here. */
export type SourceMask = { file: File; url: string; draft: MaskDraft | null }

/** One photo of the edit that is being written. The addresses are object URLs that the store frees. */
export type Source = {
  id: number
  file: File
  url: string
  mask: SourceMask | null
  /** the photo as it came, and how it was turned and framed; null when it is as it came */
  from: { file: File; shape: Shape } | null
}

/** What the stage is used for beside looking. */
export type Editor = "mask" | "crop" | null

export type Theme = "system" | "light" | "dark"
/** Ways to look at before and after. */
export const compareModes = ["slider", "side", "difference"] as const
export type CompareMode = (typeof compareModes)[number]

export type Panel = "help" | "system" | null

type Ui = {
  sources: readonly Source[]
  /** id of the photo on the stage while an edit is prepared; null is the first */
  at: number | null
  prompt: string
  settings: Settings
  settingsOpen: boolean
  /** job on the stage; null shows the photo that is being prepared */
  selected: string | null
  editor: Editor
  sending: boolean
  problem: Sentence | null
  /** the job whose result was copied a moment ago */
  copied: string | null
  panel: Panel
  theme: Theme
  singleKeys: boolean
  search: string
  compare: CompareMode
  /** the original is shown as long as it is held */
  peek: boolean
  /** what else the gallery is narrowed to */
  starred: boolean
  trashed: boolean
  photo: string
  aside: "gallery" | "tree"
  /** what the next edit begins from while a job is on the stage: its result, or the photo in the first slot */
  from: "result" | "photo"
  /** the edit that undo left last, by the node that it went to */
  left: Readonly<Record<string, string>>
  /** undo went back to the photo of this job, which is the source of this number */
  root: { job: string; source: number } | null
  /** what was done, with the way back */
  done: { text: string; undo: () => void } | null
  copies: 1 | 2 | 4
  /** the person asked to be told when an edit ends */
  notify: boolean
  language: Language
}

/** shownSource is the photo on the stage while an edit is prepared. */
export const shownSource = ({ sources, at }: Pick<Ui, "sources" | "at">): Source | undefined => sources.find((s) => s.id === at) ?? sources[0]

const stored = (area: Storage, key: string): string | null => {
  try {
    return area.getItem(key)
  } catch {
    return null // storage can be forbidden
  }
}

const store = (area: Storage, key: string, value: string | null): void => {
  try {
    if (value === null) area.removeItem(key)
    else area.setItem(key, value)
  } catch {
    // The choice lives until the page is closed.
  }
}

/** What was chosen, else the browser's first language that the page speaks. */
function firstLanguage(): Language {
  const chosen = stored(localStorage, "qie.language")
  if (chosen === "en" || chosen === "zh") return chosen
  const wanted = typeof navigator === "undefined" ? [] : navigator.languages
  return wanted.find((tag) => /^(en|zh)\b/.test(tag))?.startsWith("zh") ? "zh" : "en"
}

/** setLanguage changes what everything is said in, at once and for the next visit. */
export async function setLanguage(language: Language): Promise<void> {
  await speak(language)
  store(localStorage, "qie.language", language)
  document.documentElement.lang = language === "zh" ? "zh-Hans" : "en"
  useUi.setState({ language })
}

const theme = stored(localStorage, "qie.theme")
const compare = stored(localStorage, "qie.compare")

export const useUi = create<Ui>(() => ({
  sources: [],
  at: null,
  prompt: stored(sessionStorage, "qie.prompt") ?? "",
  settings: defaults,
  settingsOpen: false,
  selected: stored(sessionStorage, "qie.selected"),
  editor: null,
  sending: false,
  problem: null,
  copied: null,
  panel: null,
  theme: theme === "light" || theme === "dark" ? theme : "system",
  singleKeys: stored(localStorage, "qie.single-keys") !== "off",
  search: "",
  compare: compareModes.find((mode) => mode === compare) ?? "slider",
  peek: false,
  starred: false,
  trashed: false,
  photo: "",
  aside: stored(localStorage, "qie.aside") === "tree" ? "tree" : "gallery",
  from: "result",
  left: {},
  root: null,
  done: null,
  copies: 1,
  notify: stored(localStorage, "qie.notify") === "on",
  language: firstLanguage(),
}))

useUi.subscribe((now, before) => {
  // An editor is over when another picture is looked at.
  if (now.editor && (now.selected !== null || shownSource(now)?.id !== shownSource(before)?.id)) useUi.setState({ editor: null })
  if (now.selected !== before.selected) store(sessionStorage, "qie.selected", now.selected)
  if (now.selected !== before.selected && now.from !== "result") useUi.setState({ from: "result" })
  if (now.prompt !== before.prompt) store(sessionStorage, "qie.prompt", now.prompt || null)
  if (now.theme !== before.theme) {
    store(localStorage, "qie.theme", now.theme === "system" ? null : now.theme)
    showTheme(now.theme)
  }
  if (now.compare !== before.compare) store(localStorage, "qie.compare", now.compare)
  if (now.notify !== before.notify) store(localStorage, "qie.notify", now.notify ? "on" : null)
  if (now.aside !== before.aside) store(localStorage, "qie.aside", now.aside === "tree" ? "tree" : null)
  if (now.singleKeys !== before.singleKeys) store(localStorage, "qie.single-keys", now.singleKeys ? null : "off")
})

export function showTheme(choice: Theme = useUi.getState().theme): void {
  if (choice === "system") delete document.documentElement.dataset["theme"]
  else document.documentElement.dataset["theme"] = choice
}

/** isDark tells what the person sees now. */
export function isDark(choice: Theme): boolean {
  return choice === "system" ? matchMedia("(prefers-color-scheme: dark)").matches : choice === "dark"
}

let nextId = 1

function free({ url, mask }: Source): void {
  URL.revokeObjectURL(url)
  if (mask) URL.revokeObjectURL(mask.url)
}

/** setPhoto gives a slot another picture and its mask. */
export function setPhoto(id: number, file: File, from: Source["from"], mask: SourceMask | null): void {
  useUi.setState((ui) => ({
    sources: ui.sources.map((source) => {
      if (source.id !== id) return source
      free(source)
      return { id, file, from, mask, url: URL.createObjectURL(file) }
    }),
  }))
}

/** setMask puts a mask to a photo in place of the one before. */
export function setMask(id: number, mask: SourceMask | null): void {
  useUi.setState((ui) => ({
    sources: ui.sources.map((source) => {
      if (source.id !== id) return source
      if (source.mask) URL.revokeObjectURL(source.mask.url)
      return { ...source, mask }
    }),
  }))
}

/** addSources fills the free slots; when all are taken, the last one is replaced. */
export function addSources(files: readonly File[], slots: number): void {
  useUi.setState((ui) => {
    const added = files.slice(0, slots).map((file) => ({ id: nextId++, file, url: URL.createObjectURL(file), mask: null, from: null }))
    const kept = ui.sources.slice(0, Math.max(0, slots - added.length))
    for (const gone of ui.sources.slice(kept.length)) free(gone)
    return { sources: [...kept, ...added], selected: null, problem: null }
  })
}

export function setSources(files: readonly File[], slots: number): void {
  useUi.setState((ui) => {
    for (const gone of ui.sources) free(gone)
    return { sources: [] }
  })
  addSources(files, slots)
}

export function removeSource(id: number): void {
  useUi.setState((ui) => {
    for (const gone of ui.sources.filter((s) => s.id === id)) free(gone)
    return { sources: ui.sources.filter((s) => s.id !== id) }
  })
}

export function moveEarlier(id: number): void {
  useUi.setState((ui) => {
    const i = ui.sources.findIndex((s) => s.id === id)
    const [before, moved] = [ui.sources[i - 1], ui.sources[i]]
    if (!before || !moved) return {}
    return { sources: ui.sources.map((s, k) => (k === i - 1 ? moved : k === i ? before : s)) }
  })
}
