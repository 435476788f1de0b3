import type { Finding } from "../../api/gen/qie"

/** What stands behind the mark of a level. */
export const marks = { ok: "✓", warning: "!", error: "✗" } as const satisfies Record<Finding["level"], string>

/** worstFirst puts what needs a person before what is well; equals keep the doctor's order. */
export function worstFirst(findings: Finding[]): Finding[] {
  const rank = { error: 0, warning: 1, ok: 2 } as const
  return findings.toSorted((a, b) => rank[a.level] - rank[b.level])
}
