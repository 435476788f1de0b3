import { shownSource, useUi } from "../lib/ui-store"
import { useBoard, useJob } from "../live/board"
import { situationOf, type Situation } from "./registry"

export function useSituation(): Situation {
  const jobs = useBoard((board) => board.jobs)
  const ui = useUi()
  const { sources, prompt, sending, selected, editor } = ui
  const { job } = useJob(selected)
  return situationOf({
    ready: jobs !== null,
    sources: sources.length,
    prompt,
    sending,
    editor,
    first: shownSource(ui) === sources[0],
    selected: job,
    jobs: jobs ? Object.values(jobs) : [],
  })
}
