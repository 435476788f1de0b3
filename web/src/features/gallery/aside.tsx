import type { ReactNode } from "react"
import { t } from "../../lib/i18n"
import { useUi } from "../../lib/ui-store"
import { QueueLine } from "./queue-line"
import { QueueList } from "./queue-list"

type Props = { gallery: ReactNode; tree: ReactNode }

/** The right side: who waits, then all edits or those of one photo. */
export function Aside({ gallery, tree }: Props) {
  const shown = useUi((ui) => ui.aside)
  return (
    <aside aria-label={t("history.title")} className="flex h-[32rem] shrink-0 flex-col border-line bg-raised max-lg:border-t lg:h-auto lg:w-80 lg:border-l">
      <QueueLine />
      <QueueList />
      <div role="tablist" aria-label={t("history.title")} className="flex border-b border-line px-2">
        {(["gallery", "tree"] as const).map((name) => (
          <button key={name} type="button" role="tab" id={`tab-${name}`} aria-selected={shown === name} aria-controls="aside-panel"
            tabIndex={shown === name ? 0 : -1} onClick={() => useUi.setState({ aside: name })}
            onKeyDown={(e) => {
              if (e.key !== "ArrowLeft" && e.key !== "ArrowRight") return
              const other = name === "tree" ? "gallery" : "tree"
              useUi.setState({ aside: other })
              document.getElementById(`tab-${other}`)?.focus()
            }}
            className={`-mb-px border-b-2 px-3 py-2 text-sm ${shown === name ? "border-accent font-semibold" : "border-transparent text-muted hover:text-ink"}`}>
            {t(`aside.${name}`)}
          </button>
        ))}
      </div>
      <div id="aside-panel" role="tabpanel" aria-labelledby={`tab-${shown}`} className="flex min-h-0 flex-1 flex-col">
        {shown === "gallery" ? gallery : tree}
      </div>
    </aside>
  )
}
