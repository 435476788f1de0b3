import { useBoard } from "../../live/board"
import type { Job } from "../../api/gen/qie"
import { editAgain } from "../../actions/commands"
import { noticeWords } from "../../lib/errors"
import { t } from "../../lib/i18n"
import { offered } from "../../lib/known-edits"
import { Chip } from "../../ui/chip"
import { FailureWords } from "../../ui/failure-words"
import { Icon } from "../../ui/icons"

const unchanged = "no_visible_change"
const suggestions = 6

/** What the server noticed about an edit. */
export function Notices({ job }: { job: Job }) {
  return job.notices.map((notice) => (
    <div key={notice.code + notice.message} data-testid="notice" data-code={notice.code}
      className="flex items-start gap-2 rounded-lg border border-line bg-warn-soft px-3 py-2">
      <Icon name="info" className="mt-0.5" />
      {notice.code === unchanged ? <Unchanged job={job} /> : (
        <div className="min-w-0">
          <p className="break-words">{noticeWords(notice)}</p>
          <FailureWords next={notice.hint} report={notice.report} />
        </div>
      )}
    </div>
  ))
}

/** The edit ran and the photo is as it was: say why that may be, and offer what the model does know. */
function Unchanged({ job }: { job: Job }) {
  const known = useBoard((board) => board.model.known_edits) ?? []
  const { prompt } = job.recipe
  if (known.length === 0) return <p>{t("unchanged.large")}</p>
  const others = offered(known, job.images.length).filter((edit) => edit.prompt !== prompt)
  return (
    <div className="min-w-0 space-y-1.5">
      <p>{known.some((edit) => edit.prompt === prompt) ? t("unchanged.known") : t("unchanged.unknown")}</p>
      <ul className="flex flex-wrap gap-1.5" aria-label={t("prompt.known")}>
        {others.slice(0, suggestions).map((edit) => (
          <li key={edit.prompt}><Chip title={edit.prompt} onClick={() => void editAgain(job, edit.prompt)}>{edit.label}</Chip></li>
        ))}
      </ul>
    </div>
  )
}
