import { getGetCrashUrl } from "../api/gen/qie"
import { capital } from "../lib/errors"
import { t } from "../lib/i18n"

type Props = { done?: string | undefined; next?: string | undefined; report?: string | undefined }

/** What was done about a failure, the one next action, and the report that may be shown to anybody. */
export function FailureWords({ done, next, report }: Props) {
  return (
    <>
      {done && <p data-testid="done">{capital(done)}</p>}
      {next && <p data-testid="next">{t("problem.next", { hint: capital(next) })}</p>}
      {report && <ReportLink name={report} />}
    </>
  )
}

export function ReportLink({ name }: { name: string }) {
  return (
    <a data-testid="crash-report" href={getGetCrashUrl(name)} target="_blank" rel="noreferrer" className="text-xs break-all text-accent underline">
      {t("problem.report", { name })}
    </a>
  )
}
