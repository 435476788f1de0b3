import { useEffect, useState } from "react"
import { t } from "../lib/i18n"
import { useUi } from "../lib/ui-store"
import { Button, IconButton } from "./button"

const shownFor_ms = 12_000

/** What was done a moment ago, with the way back. It stays while it is pointed at or has the focus. */
export function DoneLine() {
  const done = useUi((ui) => ui.done)
  const [held, setHeld] = useState(false)
  useEffect(() => {
    if (!done || held) return
    const timer = setTimeout(() => useUi.setState({ done: null }), shownFor_ms)
    return () => clearTimeout(timer)
  }, [done, held])
  return (
    // oxlint-disable-next-line jsx-a11y/no-noninteractive-element-interactions -- only to keep it as long as it is looked at
    <div role="status" className="fixed bottom-4 left-4 z-40 max-w-[calc(100vw-2rem)]" onMouseEnter={() => setHeld(true)} onMouseLeave={() => setHeld(false)}
      onFocus={() => setHeld(true)} onBlur={() => setHeld(false)}>
      {done && (
        <div data-testid="done-line" className="flex items-center gap-2 rounded-lg border border-line-strong bg-raised py-1.5 pr-1.5 pl-4 shadow-xl">
          <p className="min-w-0 truncate">{done.text}</p>
          <Button look="quiet" onClick={done.undo} className="text-accent">{t("done.undo")}</Button>
          <IconButton label={t("problem.dismiss")} icon="close" className="!size-7" onClick={() => useUi.setState({ done: null })} />
        </div>
      )}
    </div>
  )
}
