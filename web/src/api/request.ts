/** Every HTTP request of the page goes through here: problems become RequestError, and a 401 wakes the token dialog. */
export class RequestError extends Error {
  readonly status: number
  readonly code: string
  readonly done: string
  readonly hint: string

  constructor(status: number, code: string, message: string, more: { done?: string; hint?: string } = {}) {
    super(message)
    this.status = status
    this.code = code
    this.done = more.done ?? ""
    this.hint = more.hint ?? ""
  }
}

/** Code of a request that no server answered. */
export const OFFLINE = "offline"

let unauthorized: () => void = () => {}

/** The page tells here what it does when qie asks for its token. */
export function onUnauthorized(listener: () => void): void {
  unauthorized = listener
}

export async function request<T>(url: string, init?: RequestInit): Promise<T> {
  let response: Response
  try {
    response = await fetch(url, init)
  } catch (cause) {
    if (cause instanceof DOMException && cause.name === "AbortError") throw cause
    throw new RequestError(0, OFFLINE, "")
  }
  if (response.status === 401) unauthorized()
  if (!response.ok) throw await problemOf(response)
  if (response.status === 204) return undefined as T
  return (await response.json()) as T
}

async function problemOf(response: Response): Promise<RequestError> {
  const text = await response.text().catch(() => "")
  try {
    const body = JSON.parse(text) as Record<string, unknown>
    const word = (key: string) => (typeof body[key] === "string" ? body[key] : "")
    return new RequestError(response.status, word("code") || "internal", word("detail") || word("title"), { done: word("done"), hint: word("hint") })
  } catch {
    return new RequestError(response.status, "internal", `HTTP ${response.status}`)
  }
}
