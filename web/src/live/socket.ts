/** Close code of the server: events were lost, come back without a position. */
export const RESYNC = 4409

/** The server measures the machine every 3 s while somebody listens, so a silence this long is a dead line. */
const silenceMax_ms = 15_000
const backoffFirst_ms = 250
const backoffMax_ms = 8_000

export type SocketHooks = {
  /** address with the newest position, or without one */
  url: () => string
  onFrame: (text: string) => void
  onOpen: () => void
  /** the line is gone; the next try begins in wait_ms */
  onLost: (wait_ms: number, everOpened: boolean) => void
  onResync: () => void
}

/** Delay before try n (from 0), half of it random, so that many pages do not return in one moment. */
export function backoff(n: number, random: () => number = Math.random): number {
  const full = Math.min(backoffMax_ms, backoffFirst_ms * 2 ** Math.min(n, 10))
  return full / 2 + (full / 2) * random()
}

/** LiveSocket keeps one WebSocket alive for as long as the page lives. */
export class LiveSocket {
  private readonly hooks: SocketHooks
  private socket: WebSocket | null = null
  private tries = 0
  private retry: ReturnType<typeof setTimeout> | undefined
  private silence: ReturnType<typeof setTimeout> | undefined
  private stopped = false

  constructor(hooks: SocketHooks) {
    this.hooks = hooks
  }

  start(): void {
    this.stopped = false
    this.open()
    addEventListener("online", this.hurry)
    document.addEventListener("visibilitychange", this.hurry)
  }

  stop(): void {
    this.stopped = true
    clearTimeout(this.retry)
    clearTimeout(this.silence)
    removeEventListener("online", this.hurry)
    document.removeEventListener("visibilitychange", this.hurry)
    this.socket?.close()
    this.socket = null
  }

  /** restart comes back with the position that the hooks now give. */
  restart(): void {
    this.abandon()
    this.tries = 0
    this.open()
  }

  /** hurry tries now instead of at the end of the wait. */
  readonly hurry = (): void => {
    if (this.stopped || this.socket || document.visibilityState === "hidden") return
    clearTimeout(this.retry)
    this.open()
  }

  private open(): void {
    if (this.stopped || this.socket) return
    clearTimeout(this.retry)
    const socket = new WebSocket(this.hooks.url())
    this.socket = socket
    let opened = false
    this.listen()
    socket.addEventListener("open", () => {
      if (socket !== this.socket) return
      opened = true
      this.listen()
      this.hooks.onOpen()
    })
    socket.addEventListener("message", (message) => {
      if (socket !== this.socket) return
      this.tries = 0
      this.listen()
      if (typeof message.data === "string") this.hooks.onFrame(message.data)
    })
    socket.addEventListener("close", (closed) => {
      if (socket !== this.socket) return
      this.socket = null
      clearTimeout(this.silence)
      if (this.stopped) return
      if (closed.code === RESYNC) this.hooks.onResync()
      this.later(opened)
    })
  }

  private later(opened: boolean): void {
    const wait = backoff(this.tries++)
    this.hooks.onLost(wait, opened)
    clearTimeout(this.retry)
    this.retry = setTimeout(() => this.open(), wait)
  }

  private listen(): void {
    clearTimeout(this.silence)
    this.silence = setTimeout(() => {
      this.abandon()
      this.later(false)
    }, silenceMax_ms)
  }

  /** abandon leaves a socket that may never tell that it is closed. */
  private abandon(): void {
    clearTimeout(this.silence)
    const old = this.socket
    this.socket = null
    old?.close()
  }
}
