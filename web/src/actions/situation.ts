import type { Job } from "../api/gen/qie"
import { baseOf } from "../lib/base"
import { shownSource, useUi, type Editor } from "../lib/ui-store"
import { readBoard, readJob } from "../live/board"
import { hasEnded, isActive } from "../live/progress"

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

export const always = (): boolean => true
export const succeeded = (s: Situation): boolean => s.selected?.state === "succeeded"
export const ended = (s: Situation): boolean => s.selected !== null && hasEnded(s.selected)
/** prepares tells whether what the next edit begins from can be prepared in an editor. */
export const prepares = (s: Situation): boolean => s.sources > 0 && s.editor === null && (s.selected === null || succeeded(s))

export const focus = (id: string): void => document.getElementById(id)?.focus()
