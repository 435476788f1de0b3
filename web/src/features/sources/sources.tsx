import { useRef } from "react"
import { nameInPrompt, takeFiles } from "../../actions/commands"
import { acceptedTypes } from "../../lib/files"
import { t } from "../../lib/i18n"
import { sourceThumbUrl, thumbUrl } from "../../lib/addresses"
import { baseOf } from "../../lib/base"
import { moveEarlier, removeSource, shownSource, useUi } from "../../lib/ui-store"
import { useBoard, useJob } from "../../live/board"
import { Icon } from "../../ui/icons"
import { Picture } from "../../ui/picture"

/** The photos of the edit that is being written: as many slots as the model takes, no more. */
export function Sources() {
  const sources = useUi((ui) => ui.sources)
  const shown = useUi((ui) => (ui.selected === null ? shownSource(ui)?.id : undefined))
  const slots = useBoard((board) => board.model.max_images) || 1
  const input = useRef<HTMLInputElement>(null)
  const { selected, from } = useUi()
  const base = baseOf(useJob(selected).job, from, sources.length)
  const given = base ? sources.slice(1) : sources
  const before = base ? 1 : 0
  return (
    <div className="flex shrink-0 items-start gap-2" role="group" aria-label={t("source.slots")} data-slots>
      <input ref={input} id="file-input" data-testid="file-input" type="file" className="sr-only" tabIndex={-1}
        accept={acceptedTypes.join(",")} multiple={slots > 1} aria-label={t("source.input")}
        onChange={(e) => {
          takeFiles([...(e.target.files ?? [])])
          e.target.value = ""
        }} />
      {base && (
        <figure className="relative size-18 overflow-hidden rounded-lg border-2 border-accent bg-sunken" title={t("base.is")} data-testid="base-slot">
          <Picture src={base.picture === "result" ? thumbUrl(base.job) : sourceThumbUrl(base.job)} alt={t("base.slot", { name: t("base.is") })} className="size-full object-cover" />
          {slots > 1 && <figcaption className="absolute bottom-1 left-1 grid size-5 place-items-center rounded bg-raised text-xs">1</figcaption>}
        </figure>
      )}
      {given.slice(0, slots - before).map((source, at) => ({ source, at, i: at + before })).map(({ source, at, i }) => (
        <figure key={source.id} data-slot={source.id}
          className={`group relative size-18 overflow-hidden rounded-lg border bg-sunken ${source.id === shown && sources.length > 1 ? "border-accent ring-1 ring-accent" : "border-line"}`}>
          <button type="button" className="size-full" title={source.file.name} aria-current={source.id === shown ? "true" : undefined}
            onClick={() => useUi.setState({ selected: null, at: source.id })}>
            <img src={source.url} alt={t("source.slot", { n: i + 1 })} className="size-full object-cover" />
          </button>
          {slots > 1 && (
            <figcaption className="absolute bottom-1 left-1">
              <button type="button" aria-label={t("source.named", { n: i + 1 })} title={t("source.named", { n: i + 1 })} onClick={() => nameInPrompt(i + 1)}
                className="grid size-6 place-items-center rounded bg-raised text-xs shadow-sm hover:text-accent">{i + 1}</button>
            </figcaption>
          )}
          <SlotButton label={t("source.remove", { n: i + 1 })} icon="close" className="top-1 right-1" onClick={() => removeSource(source.id)} />
          {at > 0 && (
            <SlotButton label={t("source.earlier", { n: i + 1 })} icon="left" className="top-1 left-1" onClick={() => moveEarlier(source.id)} />
          )}
        </figure>
      ))}
      {given.length + before < slots && (
        <button type="button" onClick={() => input.current?.click()} aria-label={t("source.add")} title={t("source.add")}
          className="grid size-18 place-items-center rounded-lg border border-dashed border-line-strong text-muted hover:border-accent hover:text-accent">
          <Icon name="plus" className="size-5" />
        </button>
      )}
    </div>
  )
}

type SlotButtonProps = { label: string; icon: "close" | "left"; className: string; onClick: () => void }

function SlotButton({ label, icon, className, onClick }: SlotButtonProps) {
  return (
    <button type="button" aria-label={label} title={label} onClick={onClick}
      className={`absolute grid size-6 place-items-center rounded-md bg-raised text-ink shadow-sm hover:text-accent ${className}`}>
      <Icon name={icon} className="size-3.5" />
    </button>
  )
}
