import { Dialog as Base } from "@base-ui/react/dialog"
import type { ReactNode } from "react"
import { t } from "../lib/i18n"
import { Icon } from "./icons"

type Props = { open: boolean; onClose?: () => void; title: string; children: ReactNode }

/** Dialog over the page; without onClose it stays until its question is answered. */
export function Dialog({ open, onClose, title, children }: Props) {
  return (
    <Base.Root open={open} onOpenChange={(next) => { if (!next) onClose?.() }}>
      <Base.Portal>
        <Base.Backdrop className="fixed inset-0 z-40 bg-backdrop" />
        <Base.Popup className="fixed top-1/2 left-1/2 z-50 max-h-[85dvh] w-[min(34rem,calc(100vw-2rem))] -translate-1/2
          overflow-y-auto rounded-xl border border-line bg-raised p-5 shadow-2xl">
          <div className="mb-4 flex items-center justify-between gap-4">
            <Base.Title className="text-base font-semibold">{title}</Base.Title>
            {onClose && (
              <Base.Close aria-label={t("action.close")}
                className="grid size-8 place-items-center rounded-md text-muted hover:bg-sunken hover:text-ink">
                <Icon name="close" />
              </Base.Close>
            )}
          </div>
          {children}
        </Base.Popup>
      </Base.Portal>
    </Base.Root>
  )
}
