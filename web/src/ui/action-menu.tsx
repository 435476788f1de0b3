import { useRef, useState, type KeyboardEvent } from "react"
import { ariaKeys, shown } from "../actions/keys"
import type { Action } from "../actions/action"
import { useSituation } from "../actions/use-situation"
import { t } from "../lib/i18n"
import { IconButton } from "./button"

type Props = { label: string; actions: readonly Action[] }

/** Actions of the registry as a menu: label, key and whether it is possible now come from there. */
export function ActionMenu({ label, actions }: Props) {
  const [open, setOpen] = useState(false)
  const now = useSituation()
  const box = useRef<HTMLDivElement>(null)
  const items = () => [...(box.current?.querySelectorAll<HTMLElement>("[role=menuitem]:not([aria-disabled])") ?? [])]
  const close = () => {
    setOpen(false)
    box.current?.querySelector("button")?.focus()
  }
  const walk = (e: KeyboardEvent) => {
    if (e.key === "Escape" && open) close()
    const by = e.key === "ArrowDown" ? 1 : e.key === "ArrowUp" ? -1 : 0
    if (!open || by === 0) return
    e.preventDefault()
    const all = items()
    const at = all.findIndex((item) => item === document.activeElement)
    all[(at + by + all.length) % all.length]?.focus()
  }
  return (
    // oxlint-disable-next-line jsx-a11y/no-static-element-interactions -- it closes when the focus leaves it, and by Escape
    <div ref={box} className="relative" onKeyDown={walk} onBlur={(e) => { if (!e.currentTarget.contains(e.relatedTarget)) setOpen(false) }}>
      <IconButton icon="more" label={label} aria-haspopup="menu" aria-expanded={open} className="!size-7" onClick={() => setOpen(!open)} />
      {open && (
        <div role="menu" aria-label={label} className="absolute right-0 bottom-9 z-40 w-72 max-w-[85vw] rounded-lg border border-line bg-raised py-1 shadow-2xl">
          {actions.map((action) => {
            const possible = action.enabled(now)
            return (
              <button key={action.name} type="button" role="menuitem" aria-disabled={possible ? undefined : true} aria-keyshortcuts={ariaKeys(action.keys) || undefined}
                onClick={() => {
                  if (!possible) return
                  close()
                  action.perform(now)
                }}
                className={`flex w-full items-center gap-3 px-3 py-1.5 text-left ${possible ? "hover:bg-sunken" : "opacity-45"}`}>
                <span className="min-w-0 flex-1 truncate">{t(action.label)}</span>
                {action.keys[0] && <kbd className="font-mono text-xs text-muted">{shown(action.keys[0])}</kbd>}
              </button>
            )
          })}
        </div>
      )}
    </div>
  )
}
