import type { ReactNode } from "react"
import type { Sentence } from "../lib/errors"
import { t } from "../lib/i18n"
import { IconButton } from "./button"
import { FailureWords } from "./failure-words"
import { Icon } from "./icons"

type Props = { problem: Sentence; onDismiss?: () => void; children?: ReactNode }

/** One failure: what happened, the measured limit, what was done about it, the one next action. */
export function ProblemCard({ problem, onDismiss, children }: Props) {
  return (
    <div role="alert" data-testid="error" data-code={problem.code} className="flex items-start gap-3 rounded-lg border border-bad/40 bg-bad-soft px-3 py-2.5">
      <Icon name="warn" className="mt-0.5 size-4 text-bad" />
      <div className="min-w-0 flex-1 space-y-0.5">
        <p className="font-medium">{problem.what}</p>
        {problem.detail && <p className="break-words text-muted">{problem.detail}</p>}
        <FailureWords done={problem.done} next={problem.next} report={problem.report} />
        {children && <div className="flex flex-wrap gap-2 pt-1.5">{children}</div>}
      </div>
      {onDismiss && <IconButton label={t("problem.dismiss")} icon="close" className="!size-7" onClick={onDismiss} />}
    </div>
  )
}
