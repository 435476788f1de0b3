import type { ReactNode } from "react"
import { cancel, run, settings as settingsAction } from "../../actions/edit"
import { shown } from "../../actions/keys"
import { t } from "../../lib/i18n"
import { useUi } from "../../lib/ui-store"
import { useBoard } from "../../live/board"
import { useSituation } from "../../actions/use-situation"
import { ActionButton, Button } from "../../ui/button"
import { Icon } from "../../ui/icons"
import { ProblemCard } from "../../ui/problem-card"
import { Advanced } from "./advanced"
import { BaseLine } from "./base-line"
import { Cautions } from "./cautions"
import { Copies } from "./copies"
import { KnownEdits } from "./known-edits"
import { MissingPicture } from "./missing-picture"
import { Presets } from "./presets"
import { PromptHistory } from "./prompt-history"

/** Where the edit is written: photos, sentence, chips, settings, and the one button. */
export function PromptDock({ sources }: { sources: ReactNode }) {
  const { prompt, settingsOpen, problem, sending } = useUi()
  const model = useBoard((board) => board.model)
  const { stoppable } = useSituation()
  const example = model?.known_edits[0]?.prompt ?? t("prompt.example")
  return (
    <section aria-label={t("prompt.label")} className="shrink-0 border-t border-line bg-raised px-4 py-3">
      <div className="mx-auto max-w-4xl space-y-2.5">
        {problem && <ProblemCard problem={problem} onDismiss={() => useUi.setState({ problem: null })} />}
        <div className="flex flex-wrap items-stretch gap-3 sm:flex-nowrap">
          {sources}
          <div className="relative order-first min-w-0 basis-full sm:order-none sm:flex-1 sm:basis-auto">
            <label htmlFor="prompt" className="sr-only">{t("prompt.label")}</label>
            <textarea id="prompt" data-testid="prompt" value={prompt} rows={2} maxLength={8000}
              placeholder={`${t("prompt.label")} ${t("prompt.placeholder", { example })}`}
              onChange={(e) => useUi.setState({ prompt: e.target.value })}
              className="h-18 w-full resize-none rounded-lg border border-line bg-paper px-3 py-2 pr-9 text-[15px] leading-snug hover:border-line-strong" />
            <PromptHistory />
          </div>
          <div className="flex min-w-28 flex-1 flex-col gap-2 sm:w-28 sm:flex-none">
            <ActionButton action={run} look="primary" testId="run" className="!h-auto flex-1" />
            {stoppable && <ActionButton action={cancel} look="danger" icon="stop" testId="cancel" />}
            {!stoppable && (
              <p aria-hidden="true" className="text-center text-xs text-muted max-sm:hidden">{sending ? t("action.run.sending") : shown("Mod+Enter")}</p>
            )}
          </div>
        </div>
        <div className="flex flex-wrap items-center gap-x-6 gap-y-1.5 empty:hidden">
          <BaseLine />
          {model && <Presets model={model} />}
        </div>
        {model && <MissingPicture model={model} />}
        {model && <Cautions model={model} />}
        <div className="flex items-start gap-2 max-sm:has-data-open:flex-col">
          <div className="min-w-0 flex-1">{model && <KnownEdits model={model} />}</div>
          <Copies />
          <Button look="quiet" icon="settings" aria-expanded={settingsOpen} aria-controls="settings" className="!h-7 !px-2"
            onClick={() => settingsAction.perform({} as never)}>
            {t("advanced.title")}
          </Button>
        </div>
        {settingsOpen && model && <Advanced model={model} />}
        {model?.notice && (
          <p data-testid="notice" className="flex items-start gap-1.5 text-xs text-muted">
            <Icon name="info" className="mt-px size-3.5" />{model.notice}
          </p>
        )}
      </div>
    </section>
  )
}
