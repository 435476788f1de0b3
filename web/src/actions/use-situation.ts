import { useUi } from "../lib/ui-store"
import { useBoard } from "../live/board"
import { situationOf, type Situation } from "./registry"

export function useSituation(): Situation {
  const jobs = useBoard((board) => board.jobs)
  const { sources, prompt, sending, selected } = useUi()
  return situationOf({
    ready: jobs !== null,
    sources: sources.length,
    prompt,
    sending,
    selected: (selected && jobs?.[selected]) || null,
    jobs: jobs ? Object.values(jobs) : [],
  })
}
