import { useQuery } from "@tanstack/react-query"
import { listModels, type CatalogueEntry } from "../api/gen/qie"
import { useBoard } from "./board"

const none: readonly CatalogueEntry[] = []

/** useCatalogue is what can be fetched; asked again when a download has begun or ended, for what only the list says. */
export function useCatalogue(): readonly CatalogueEntry[] {
  const ended = useBoard((board) => board.downloads.map((d) => `${d.id} ${d.state === "complete"}`).join())
  const { data } = useQuery({
    queryKey: ["models", ended],
    queryFn: ({ signal }) => listModels({ signal }),
    enabled: ended !== null,
    placeholderData: (before) => before,
  })
  return data?.catalogue ?? none
}
