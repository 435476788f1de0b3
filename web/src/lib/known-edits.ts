import type { KnownEdit } from "../api/gen/qie"

/** So many chips are shown before the groups are opened. */
export const rowLength = 10

export type Group = { name: string; edits: readonly KnownEdit[] }

export const picturesOf = (edit: KnownEdit): number => Math.max(1, edit.images ?? 1)

/** offered leaves out what needs more photos than the model takes. */
export const offered = (edits: readonly KnownEdit[], slots: number): KnownEdit[] => edits.filter((edit) => picturesOf(edit) <= slots)

/** grouped keeps the order of the model: groups as they first appear, edits as they follow. No group is "". */
export function grouped(edits: readonly KnownEdit[]): Group[] {
  const names = [...new Set(edits.map((edit) => edit.group ?? ""))]
  return names.map((name) => ({ name, edits: edits.filter((edit) => (edit.group ?? "") === name) }))
}

const numbered = /\b(?:image|picture|photo)\s*([1-9])\b|(?:图片?|图像|照片)\s*([1-9])(?!\d)/gi

/** named is the highest n of "image n" in a sentence; 0 when none is named. */
export function named(prompt: string): number {
  return Math.max(0, ...[...prompt.matchAll(numbered)].map((found) => Number(found[1] ?? found[2])))
}

/** wanted is how many photos a sentence speaks of: by number, or because the model knows it as an edit of so many. */
export function wanted(prompt: string, edits: readonly KnownEdit[]): number {
  const text = prompt.trim()
  const known = edits.find((edit) => edit.prompt === text)
  return Math.max(1, named(text), known ? picturesOf(known) : 1)
}
