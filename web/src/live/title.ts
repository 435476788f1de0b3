import { percent } from "../lib/format"
import { t } from "../lib/i18n"
import { progressBook } from "./progress"

/** showTitle writes the percent into the tab's title from the stream itself, so that a tab in the background shows it too. */
export function showTitle(): void {
  progressBook.onAny((progress) => {
    document.title = progress ? t("progress.title", { percent: percent(progress.percent) }) : "qie"
  })
}
