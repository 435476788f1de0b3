import { spokenLanguage, t } from "./i18n"

/** duration in words that fit its size: seconds below a minute and a half, then minutes, then hours. */
export function duration(s: number): string {
  if (s < 10) return t("time.s", { n: Math.round(s * 10) / 10 })
  if (s < 90) return t("time.s", { n: Math.round(s) })
  if (s < 600) return t("time.min-s", { m: Math.floor(Math.round(s) / 60), s: Math.round(s) % 60 })
  if (s < 5400) return t("time.min", { n: Math.round(s / 60) })
  return t("time.h", { n: Math.round(s / 360) / 10 })
}

/** An estimate is rounded up to what it can honestly say. */
function rough(s: number, unit = unitOf(s)): string {
  if (unit === "s") return t("time.s", { n: Math.max(1, Math.ceil(s)) })
  if (unit === "min") return t("time.min", { n: Math.max(1, Math.ceil(s / 60)) })
  return t("time.h", { n: Math.ceil(s / 360) / 10 })
}

/** Both ends of a range are said in one unit, that of the larger. */
const unitOf = (s: number): "s" | "min" | "h" => (s < 120 ? "s" : s < 5400 ? "min" : "h")

/** timeLeft says the range that the server measured, and nothing when it gave none. */
export function timeLeft(eta_s: readonly number[] | undefined): string {
  const [low, high] = eta_s ?? []
  if (low === undefined || high === undefined || !Number.isFinite(low) || !Number.isFinite(high) || high <= 0) return ""
  const to = rough(Math.max(low, high))
  const from = rough(low, unitOf(high))
  return from === to ? t("progress.left", { time: to }) : t("progress.left.range", { low: from, high: to })
}

/** takes says what an edit takes here, from its measured range; nothing when there is none. */
export function takes(range_s: readonly number[] | undefined): string {
  const [low, high] = range_s ?? []
  if (low === undefined || high === undefined || high <= 0) return ""
  const [from, to] = [rough(low, unitOf(high)), rough(high)]
  return from === to ? t("time.about", { time: to }) : t("time.range", { low: from, high: to })
}

/** bytes in decimal units, as Finder counts. */
export function bytes(n: number): string {
  if (n < 1e6) return `${Math.round(n / 1e3)} kB`
  if (n < 1e9) return `${Math.round(n / 1e6)} MB`
  return `${(n / 1e9).toFixed(1)} GB`
}

/** percent is rounded down: 100 is said when it is done. */
export function percent(p: number): number {
  return Math.max(0, Math.min(100, Math.floor(p)))
}

const dates = {
  time: { hour: "2-digit", minute: "2-digit" },
  date: { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" },
  day: { weekday: "long", day: "numeric", month: "long", year: "numeric" },
} as const

const formats = new Map<string, Intl.DateTimeFormat>()

/** format keeps what is dear to make, for each language. The time of day is written as the browser's own region does. */
function format(kind: keyof typeof dates, when: Date): string {
  const own = navigatorLanguage()
  const language = own.startsWith(spokenLanguage()) ? own : spokenLanguage()
  const made = formats.get(kind + language) ?? new Intl.DateTimeFormat(language, dates[kind])
  formats.set(kind + language, made)
  return made.format(when)
}

const navigatorLanguage = (): string => (typeof navigator === "undefined" ? "en" : navigator.language)

/** clock says when: the time of today, else with the day. */
export function clock(iso: string, now: Date = new Date()): string {
  const when = new Date(iso)
  if (Number.isNaN(when.getTime())) return ""
  return format(when.toDateString() === now.toDateString() ? "time" : "date", when)
}

/** day names the day of a date as a heading. */
export function day(iso: string, now: Date = new Date()): string {
  const when = new Date(iso)
  if (Number.isNaN(when.getTime())) return ""
  const before = new Date(now.getFullYear(), now.getMonth(), now.getDate() - 1)
  if (when.toDateString() === now.toDateString()) return t("day.today")
  return when.toDateString() === before.toDateString() ? t("day.yesterday") : format("day", when)
}

/** fileName of a download: the photo's name with a mark, or the job's id. */
export function fileName(source: string | undefined, id: string): string {
  const stem = (source ?? "").replace(/\.[^.]*$/, "").replace(/-edited(-[0-9a-f]{4})?$/, "")
  return `${stem || "qie"}-edited-${id.slice(0, 4)}.png`
}
