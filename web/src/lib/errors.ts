import { OFFLINE, RequestError } from "../api/request"
import { known, t } from "./i18n"

/**
 * What a person reads: what happened, the server's own words with what was measured, what was done about it, and the one
 * next action. report names a crash report.
 */
export type Sentence = { code: string; what: string; detail: string; done: string; next: string; report: string }

type Failure = { code: string; message: string; done?: string | undefined; hint?: string | undefined; report?: string | undefined }

export function sentence(failure: Failure): Sentence {
  const { code, message } = failure
  const own = known(`error.${code}`)
  return {
    code,
    what: own ?? (message || t("error.unknown")),
    detail: own === null || message === "" || message === own ? "" : capital(message),
    done: capital(failure.done || known(`error.${code}.done`) || ""),
    next: capital(failure.hint || known(`error.${code}.next`) || ""),
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
