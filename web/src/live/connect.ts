import { getState, type LiveEvent } from "../api/gen/qie"
import { onUnauthorized } from "../api/request"
import { queryClient } from "../lib/query-client"
import { apply, refreshed, type Applied, type Position } from "./apply"
import { boardKey, jobsKey, patchHistory } from "./board"
import { narrow } from "./event"
import { progressBook } from "./progress"
import { LiveSocket } from "./socket"
import { useStatus } from "./status"
import { tellEnd } from "./title"
import { patchTree, treesKey } from "./trees"

const refreshAfter_ms = 150

let at: Position | null = null
let socket: LiveSocket | null = null
let refreshTimer: ReturnType<typeof setTimeout> | undefined

/** start asks for the state and then follows the live stream from there. */
export async function start(): Promise<void> {
  onUnauthorized(() => useStatus.setState({ locked: true }))
  socket = new LiveSocket({
    url: liveUrl,
    onFrame: receive,
    onOpen: () => useStatus.setState({ connection: "live" }),
    onResync: () => {
      at = null
    },
    onLost: (_wait, everOpened) => {
      useStatus.setState({ connection: "lost" })
      // A refused handshake does not say why; a plain request does, and it keeps the page true without a WebSocket.
      if (!everOpened) void askState()
    },
  })
  await askState()
  socket.start()
}

/** unlocked follows after the token was accepted. */
export function unlocked(): void {
  useStatus.setState({ locked: false })
  at = null
  socket?.restart()
  void queryClient.invalidateQueries({ queryKey: jobsKey })
}

function liveUrl(): string {
  const url = new URL("/api/v1/live", location.href)
  url.protocol = url.protocol === "https:" ? "wss:" : "ws:"
  if (at) {
    url.searchParams.set("epoch", at.epoch)
    url.searchParams.set("seq", String(at.seq))
  }
  return url.href
}

function receive(text: string): void {
  const event = narrow(JSON.parse(text) as LiveEvent)
  if (event) take(apply(at, event))
}

async function askState(): Promise<void> {
  try {
    const state = await getState({ signal: AbortSignal.timeout(5_000) })
    take(apply(at, { type: "state", epoch: state.epoch, seq: state.seq, state }))
  } catch {
    // The connection line says it; the socket tries again.
  }
}

function take(applied: Applied): void {
  if (applied.resync) {
    at = null
    socket?.restart()
    return
  }
  const before = at?.board
  at = applied.position
  for (const job of applied.changed) {
    progressBook.follow(job)
    tellEnd(before?.jobs[job.id], job)
    patchHistory(job.id, job)
    patchTree(job)
  }
  if (applied.progress) progressBook.put(applied.progress)
  if (applied.removed !== null) {
    progressBook.drop(applied.removed)
    patchHistory(applied.removed, null)
    patchTree(null)
  }
  if (at && at.board !== before) queryClient.setQueryData(boardKey, at.board)
  if (applied.replaced && before) {
    for (const queryKey of [jobsKey, treesKey]) void queryClient.invalidateQueries({ queryKey })
  }
  if (applied.refresh) refreshSoon()
}

/** remember puts a board that a command changed (an answer that came before its event) where events find it. */
export function remember(change: (board: Position["board"]) => Position["board"]): void {
  if (!at) return
  const board = change(at.board)
  if (board === at.board) return
  at = { ...at, board }
  queryClient.setQueryData(boardKey, board)
}

function refreshSoon(): void {
  clearTimeout(refreshTimer)
  refreshTimer = setTimeout(async () => {
    try {
      const state = await getState()
      if (!at) return
      at = refreshed(at, state)
      queryClient.setQueryData(boardKey, at.board)
    } catch {
      // The next event asks again.
    }
  }, refreshAfter_ms)
}
