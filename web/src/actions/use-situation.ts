import { useUi } from "../lib/ui-store"
import { useBoard, useJob } from "../live/board"
import { given, situationOf, type Situation } from "./situation"

export function useSituation(): Situation {
  const jobs = useBoard((board) => board.jobs)
  const ui = useUi()
  const { job } = useJob(ui.selected)
  return situationOf({
    ready: jobs !== null,
    ...given(ui, job),
    prompt: ui.prompt,
    sending: ui.sending,
    editor: ui.editor,
    selected: job,
    jobs: jobs ? Object.values(jobs) : [],
  })
}
