import { useState } from "react"
import { t } from "../../lib/i18n"
import { promptsOf } from "../../lib/prompts"
import { moveFocus } from "../../lib/rows"
import { useUi } from "../../lib/ui-store"
import { readHistory, readJob } from "../../live/board"
import { Icon } from "../../ui/icons"

/** The sentences that were written before: those for this photo first, with a star those of starred edits. */
export function PromptHistory() {
  const [open, setOpen] = useState(false)
  const photo = readJob(useUi((ui) => ui.selected))?.photo ?? ""
  const choose = (prompt: string) => {
    useUi.setState({ prompt })
    setOpen(false)
    document.getElementById("prompt")?.focus()
  }
  return (
    // oxlint-disable-next-line jsx-a11y/no-static-element-interactions -- it closes when the focus leaves it, and by Escape
    <div className="absolute right-1.5 bottom-1.5" onBlur={(e) => { if (!e.currentTarget.contains(e.relatedTarget)) setOpen(false) }}
      onKeyDown={(e) => { if (e.key === "Escape") setOpen(false) }}>
      <button type="button" aria-label={t("prompts.title")} title={t("prompts.title")} aria-expanded={open} aria-controls="prompts-before" onClick={() => setOpen(!open)}
        className="grid size-7 place-items-center rounded-md text-muted hover:bg-sunken hover:text-ink">
        <Icon name="clock" />
      </button>
      {open && <Prompts prompts={promptsOf(readHistory(), photo)} onChoose={choose} />}
    </div>
  )
}

type PromptsProps = { prompts: ReturnType<typeof promptsOf>; onChoose: (prompt: string) => void }

function Prompts({ prompts, onChoose }: PromptsProps) {
  return (
    <div id="prompts-before" data-testid="prompt-history"
      className="absolute right-0 bottom-9 z-40 max-h-72 w-80 max-w-[80vw] overflow-y-auto rounded-lg border border-line bg-raised py-1 shadow-2xl">
      {prompts.length === 0 && <p className="px-3 py-2 text-muted">{t("history.empty")}</p>}
      {/* oxlint-disable-next-line jsx-a11y/no-noninteractive-element-interactions -- the rows hold the focus, the list hears their arrow keys */}
      <ul onKeyDown={moveFocus} aria-label={t("prompts.title")}>
        {prompts.map(({ prompt, starred, here }) => (
          <li key={prompt}>
            <button type="button" data-row onClick={() => onChoose(prompt)} className="flex w-full items-center gap-2 px-3 py-1.5 text-left hover:bg-sunken">
              <span className={`line-clamp-2 min-w-0 flex-1 ${here ? "" : "text-muted"}`}>{prompt}</span>
              {starred && <Icon name="starred" className="size-3.5 text-accent" />}
            </button>
          </li>
        ))}
      </ul>
    </div>
  )
}
