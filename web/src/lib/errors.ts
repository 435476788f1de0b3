import { OFFLINE, RequestError } from "../api/request"
import { known, spokenLanguage, t } from "./i18n"

/**
 * What a person reads: what happened, the server's own words with what was measured, what was done about it, and the one
 * next action. report names a crash report.
 */
export type Sentence = { code: string; what: string; detail: string; done: string; next: string; report: string }

type Failure = { code: string; message: string; done?: string | undefined; hint?: string | undefined; report?: string | undefined }

export function sentence(failure: Failure): Sentence {
  const { code, message } = failure
  const own = known(`error.${code}`)
  // The server speaks English: where the page has words of its own in another language, they win.
  const foreign = spokenLanguage() !== "en" && own !== null
  return {
    code,
    what: own ?? (message || t("error.unknown")),
    detail: own === null || message === "" || message === own ? "" : capital(message),
    done: capital((foreign ? "" : failure.done) || known(`error.${code}.done`) || failure.done || ""),
    next: capital((foreign ? "" : failure.hint) || known(`error.${code}.next`) || failure.hint || ""),
    report: failure.report ?? "",
  }
}

export function sentenceOf(error: unknown): Sentence {
  if (error instanceof RequestError) return sentence(error)
  return sentence({ code: "", message: error instanceof Error ? error.message : "" })
}

export const offline = (): Sentence => sentence({ code: OFFLINE, message: "" })

/** The name of the program stays as it is written. */
export function capital(text: string): string {
  if (/^qie\b/.test(text)) return text
  return text.charAt(0).toUpperCase() + text.slice(1)
}

/** noticeWords: what the page can say itself it says in its language; resumed brings its numbers along. */
export function noticeWords(notice: { code: string; message: string }): string {
  if (spokenLanguage() === "en") return capital(notice.message)
  const [step, steps] = notice.message.match(/\d+/g) ?? []
  if (notice.code === "resumed" && step && steps) return t("notice.resumed", { step, steps })
  return (notice.code === "resumed" ? null : known(`notice.${notice.code}`)) ?? capital(notice.message)
}
