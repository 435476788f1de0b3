import type { ReactNode } from "react"

type Props = { title?: string; pressed?: boolean; onClick: () => void; children: ReactNode }

/** A sentence to choose; it is written into the prompt and not sent. */
export function Chip({ title, pressed, onClick, children }: Props) {
  return (
    <button type="button" title={title} aria-pressed={pressed} onClick={onClick}
      className={`h-7 rounded-full border px-2.5 text-xs whitespace-nowrap transition-colors
        ${pressed ? "border-accent bg-accent-soft" : "border-line bg-raised hover:border-line-strong"}`}>
      {children}
    </button>
  )
}
