import type { KeyboardEvent } from "react"

/** Arrow keys walk the rows of a list; each row has a button with data-row. */
export function moveFocus(e: KeyboardEvent<HTMLElement>): void {
  if (e.key !== "ArrowDown" && e.key !== "ArrowUp") return
  const all = [...e.currentTarget.querySelectorAll<HTMLElement>("[data-row]")]
    .toSorted((a, b) => a.getBoundingClientRect().top - b.getBoundingClientRect().top)
  const i = all.findIndex((row) => row.parentElement?.contains(document.activeElement))
  const next = all[i + (e.key === "ArrowDown" ? 1 : -1)]
  if (!next) return
  e.preventDefault()
  next.focus()
  next.scrollIntoView({ block: "nearest" })
}
