import { startWorker } from "../../actions/commands"
import { capital } from "../../lib/errors"
import { t } from "../../lib/i18n"
import { useBoard } from "../../live/board"
import { useStatus } from "../../live/status"
import { Button } from "../../ui/button"
import { FailureWords } from "../../ui/failure-words"
import { Icon } from "../../ui/icons"
import { useCountdown, words } from "./worker-line"

/** Why an edit would not start now, in words, and what can be done. Nothing when all is well. */
export function ReadyBanner() {
  const board = useBoard((b) => b)
  const lost = useStatus((s) => s.connection === "lost")
  const left = useCountdown(board?.worker ?? null)
  if (lost) {
    return <Banner tone="bad"><p role="status" data-testid="offline">{t(board ? "connection.lost.detail" : "offline.shell")}</p></Banner>
  }
  if (!board) return null
  const { worker, reasons, notices } = board
  const starting = reasons.every((r) => r.code === "worker_starting" || r.code === "worker_preparing")
  const troubled = worker.state === "broken" || worker.state === "backoff" || worker.state === "suspect"
  return (
    <>
      {reasons.length > 0 && starting && !troubled && (
        <Banner tone="info">
          {/* One line: it comes and goes by itself at every start, and the photo below should hardly move. */}
          <p className="min-w-0 flex-1" data-testid="not-ready" role="status">
            {reasons.map((reason) => <span key={reason.code + reason.message}>{capital(reason.message)}. </span>)}
            <span className="text-muted">{t("ready.queue")}</span>
          </p>
        </Banner>
      )}
      {reasons.length > 0 && (!starting || troubled) && (
        <Banner tone={worker.state === "broken" || !starting ? "warn" : "info"}>
          <div className="min-w-0 flex-1" data-testid="not-ready">
            <p className="font-medium">{troubled ? t("worker.label", { state: words(worker, left) }) : t("ready.title")}</p>
            {reasons.map((reason) => (
              <div key={reason.code + reason.message} role="status" className="break-words">
                <p>{capital(reason.message)}</p>
                <FailureWords next={reason.hint} report={reason.report} />
              </div>
            ))}
            <p className="text-muted">{t("ready.queue")}</p>
          </div>
          {troubled && <Button icon="retry" onClick={() => void startWorker()}>{t("worker.restart")}</Button>}
        </Banner>
      )}
      {notices.map((notice) => (
        <Banner key={notice.code + notice.message} tone="warn"><p data-testid="notice">{capital(notice.message)}</p></Banner>
      ))}
    </>
  )
}

const tones = { info: "bg-sunken", warn: "bg-warn-soft", bad: "bg-bad-soft" } as const

function Banner({ tone, children }: { tone: keyof typeof tones; children: React.ReactNode }) {
  return (
    <div className={`flex items-start gap-3 border-b border-line px-4 py-2 ${tones[tone]}`}>
      <Icon name={tone === "info" ? "info" : "warn"} className="mt-0.5 size-4" />
      {children}
    </div>
  )
}
