import type { Job, Progress } from "../api/gen/qie"
import { thumbUrl } from "../lib/addresses"
import { percent, timeLeft } from "../lib/format"
import { t } from "../lib/i18n"
import { useUi } from "../lib/ui-store"
import { hasEnded, progressBook } from "./progress"

/**
 * What a tab shows that nobody looks at: percent and time left in its title, a ring in its icon, a notification at the
 * end. All of it is written from the stream itself: timers and frames of a tab in the background stand still.
 */
export function showTitle(): void {
  progressBook.onAny((progress) => {
    document.title = titleOf(progress)
    ring(progress && percent(progress.percent))
  })
  document.addEventListener("visibilitychange", () => {
    if (!document.hidden && progressBook.idle) document.title = titleOf(null)
  })
}

export function titleOf(progress: Progress | null): string {
  if (!progress) return "qie"
  const left = timeLeft(progress.eta_s)
  const done = percent(progress.percent)
  return left ? t("progress.title.left", { percent: done, left }) : t("progress.title", { percent: done })
}

let shown: number | null = null

/** The ring is drawn again only when the number that it shows has changed. */
function ring(done: number | null): void {
  if (done === shown) return
  shown = done
  const icon = document.querySelector<HTMLLinkElement>('link[rel="icon"]')
  if (icon) icon.href = done === null ? "/icon.svg" : `data:image/svg+xml,${encodeURIComponent(ringSvg(done))}`
}

export function ringSvg(done: number): string {
  const round = 2 * Math.PI * 12
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32"><circle cx="16" cy="16" r="12" fill="none" stroke="#8888" stroke-width="7"/>` +
    `<circle cx="16" cy="16" r="12" fill="none" stroke="#0a7d74" stroke-width="7" stroke-dasharray="${((round * done) / 100).toFixed(1)} ${round.toFixed(1)}" transform="rotate(-90 16 16)"/></svg>`
}

/** canNotify: only a page from this computer, or over https, may ask. */
export const canNotify = (): boolean => typeof Notification !== "undefined" && isSecureContext

/** askToNotify is called by a person's press and never otherwise. */
export async function askToNotify(): Promise<void> {
  const on = useUi.getState().notify
  useUi.setState({ notify: !on && (await Notification.requestPermission()) === "granted" })
}

/** tellEnd tells the end of a job to somebody who looks elsewhere. Cancelling was their own doing. */
export function tellEnd(before: Job | undefined, job: Job): void {
  if (!document.hidden || !before || hasEnded(before) || !hasEnded(job) || job.state === "canceled") return
  const words = t(job.state === "succeeded" ? "said.succeeded" : "said.failed")
  document.title = t("title.ended", { words })
  if (!useUi.getState().notify || !canNotify() || Notification.permission !== "granted") return
  const note = new Notification(words, { body: job.recipe.prompt, icon: thumbUrl(job), tag: job.id })
  note.addEventListener("click", () => {
    focus()
    useUi.setState({ selected: job.id })
    note.close()
  })
}
