import { resultUrl, sourceUrl } from "../lib/addresses"
import { fileName } from "../lib/format"
import { readHistory, readJob } from "../live/board"

/** What a dragged job carries inside the page: its id. */
export const jobType = "application/x-qie-job"

/**
 * A picture of a job is dragged as the whole picture, whatever was shown of it: onto a slot of the page, or out of the
 * browser, where it becomes a file with a name. It belongs to the nearest element with data-job-id.
 */
function begun(e: DragEvent): void {
  const from = e.target instanceof Element ? e.target.closest<HTMLElement>("[data-job-id]") : null
  const id = from?.dataset["jobId"]
  if (!id || !e.dataTransfer) return
  const job = readJob(id) ?? readHistory().find((known) => known.id === id)
  if (!job) return
  const url = new URL(resultUrl(job) ?? sourceUrl(job, 0), location.href).href
  e.dataTransfer.effectAllowed = "copy"
  e.dataTransfer.setData(jobType, id)
  e.dataTransfer.setData("text/uri-list", url)
  e.dataTransfer.setData("DownloadURL", `image/png:${fileName(job.images[0]?.name, job.id)}:${url}`)
}

export function listenToDrags(): void {
  addEventListener("dragstart", begun)
}
