export type Finding = { name: string; level: "ok" | "warn" | "bad"; text: string; fix: string }

/** findingsOf reads the doctor's answer, which the OpenAPI document leaves open; null for a shape it does not know. */
export function findingsOf(answer: unknown): Finding[] | null {
  const list = Array.isArray(answer) ? answer : isRecord(answer) && Array.isArray(answer["findings"]) ? answer["findings"] : null
  if (!list) return null
  return list.filter(isRecord).map((f) => {
    const word = (...keys: string[]) => keys.map((k) => f[k]).find((v): v is string => typeof v === "string" && v !== "") ?? ""
    const severity = word("severity", "level", "status", "mark")
    const level = /^(ok|good|✓)$/.test(severity) ? "ok" : /^(warn|warning|!)$/.test(severity) ? "warn" : "bad"
    return { name: word("check", "name"), level, text: word("message", "text", "title", "summary"), fix: word("fix", "command", "hint") }
  })
}

const isRecord = (v: unknown): v is Record<string, unknown> => typeof v === "object" && v !== null && !Array.isArray(v)
