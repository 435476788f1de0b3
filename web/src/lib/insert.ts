/** inserted puts a word into a text in place of what is selected, with a space where it would touch another word. */
export function inserted(text: string, from: number, to: number, word: string): { text: string; at: number } {
  const [before, after] = [text.slice(0, from), text.slice(to)]
  const lead = /[\p{L}\p{N}.,;:!?)]$/u.test(before) ? " " : ""
  const trail = /^[\p{L}\p{N}(]/u.test(after) ? " " : ""
  return { text: before + lead + word + trail + after, at: (before + lead + word + trail).length }
}
