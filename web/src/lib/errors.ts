import { OFFLINE, RequestError } from "../api/request"
import { known, t } from "./i18n"

/** What a person reads: what happened, the server's own words with the limit in them, and the one next action. */
export type Sentence = { code: string; what: string; detail: string; next: string }

export function sentence(failure: { code: string; message: string; hint?: string | undefined }): Sentence {
  const { code, message } = failure
  const own = known(`error.${code}`)
  return {
    code,
    what: own ?? (message || t("error.unknown")),
    detail: own === null || message === "" ? "" : capital(message),
    next: capital(failure.hint || known(`error.${code}.next`) || ""),
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
