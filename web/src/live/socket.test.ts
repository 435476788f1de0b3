import { afterEach, beforeEach, expect, test, vi } from "vitest"
import { backoff, LiveSocket, RESYNC, type SocketHooks } from "./socket"

test("the wait grows to a limit, and half of it is chance", () => {
  const longest = [0, 1, 2, 3, 4, 5, 6, 30].map((n) => backoff(n, () => 1))
  expect(longest).toEqual([250, 500, 1000, 2000, 4000, 8000, 8000, 8000])
  expect(backoff(3, () => 0)).toBe(1000)
})

class Line extends EventTarget {
  static all: Line[] = []
  readonly url: string
  closed = false
  constructor(url: string) {
    super()
    this.url = url
    Line.all.push(this)
  }
  close(): void { this.closed = true }
  opens(): void { this.dispatchEvent(new Event("open")) }
  says(data: string): void { this.dispatchEvent(Object.assign(new Event("message"), { data })) }
  ends(code: number): void { this.dispatchEvent(Object.assign(new Event("close"), { code })) }
}

let hooks: { [K in keyof SocketHooks]: ReturnType<typeof vi.fn> }
let socket: LiveSocket
const line = () => {
  const last = Line.all.at(-1)
  if (!last) throw new Error("no line")
  return last
}

beforeEach(() => {
  vi.useFakeTimers()
  Line.all = []
  vi.stubGlobal("WebSocket", Line)
  vi.stubGlobal("document", Object.assign(new EventTarget(), { visibilityState: "visible" }))
  vi.stubGlobal("addEventListener", vi.fn())
  vi.stubGlobal("removeEventListener", vi.fn())
  hooks = { url: vi.fn(() => "ws://qie/live"), onFrame: vi.fn(), onOpen: vi.fn(), onLost: vi.fn(), onResync: vi.fn() }
  socket = new LiveSocket(hooks as unknown as SocketHooks)
  socket.start()
})

afterEach(() => {
  socket.stop()
  vi.useRealTimers()
  vi.unstubAllGlobals()
})

test("a lost line is tried again with a growing wait, and a frame makes it short again", () => {
  line().opens()
  line().says("{}")
  for (let tries = 1; tries < 6; tries++) {
    line().ends(1006)
    expect(hooks.onLost).toHaveBeenCalledTimes(tries)
    vi.advanceTimersByTime(8_000)
    expect(Line.all).toHaveLength(tries + 1)
  }
  expect(hooks.onLost.mock.calls.map(([, opened]) => opened as boolean)).toEqual([true, false, false, false, false])
  line().opens()
  line().says("{}")
  line().ends(1006)
  expect(hooks.onLost.mock.lastCall?.[0]).toBeLessThanOrEqual(250)
})

test("4409 gives the position up before the next try", () => {
  line().opens()
  line().ends(RESYNC)
  expect(hooks.onResync).toHaveBeenCalledOnce()
  vi.advanceTimersByTime(300)
  expect(Line.all).toHaveLength(2)
})

test("a silent line is left, and what it says later is not heard", () => {
  const first = line()
  first.opens()
  vi.advanceTimersByTime(15_000)
  expect(first.closed).toBe(true)
  vi.advanceTimersByTime(300)
  expect(Line.all).toHaveLength(2)
  first.says("late")
  first.ends(1006)
  expect(hooks.onFrame).not.toHaveBeenCalled()
  expect(hooks.onLost).toHaveBeenCalledOnce()
})

test("a page that comes back to the front does not wait", () => {
  line().ends(1006)
  socket.hurry()
  expect(Line.all).toHaveLength(2)
  socket.hurry()
  expect(Line.all).toHaveLength(2)
})

test("after stop nothing is tried again", () => {
  line().ends(1006)
  socket.stop()
  vi.advanceTimersByTime(60_000)
  expect(Line.all).toHaveLength(1)
})
