import type { Job, ModelProgress, Progress, Queue, State } from "../api/gen/qie"
import { assertNever } from "../lib/assert"
import type { Live } from "./event"

/** What the page knows of the server: the state, its jobs by id. */
export type Board = Omit<State, "jobs" | "epoch" | "seq"> & { jobs: Readonly<Record<string, Job>> }

/** Where the page stands: the board after event seq of epoch. */
export type Position = { epoch: string; seq: number; board: Board }

/** What an event meant, for those who hold something beside the board. */
export type Applied = {
  position: Position | null
  /** events were missed: ask for the state */
  resync: boolean
  /** everything was replaced: lists that were fetched page by page are stale */
  replaced: boolean
  /** readiness may have changed, which no event carries: ask for the state when convenient */
  refresh: boolean
  changed: readonly Job[]
  removed: string | null
  progress: Progress | null
}

const nothing = { resync: false, replaced: false, refresh: false, changed: [], removed: null, progress: null } as const

/** apply is the one place where an event becomes what the page shows. It is pure; seq alone decides the order. */
export function apply(at: Position | null, e: Live): Applied {
  if (e.type === "state") {
    if (at && at.epoch === e.epoch && e.seq < at.seq) return { ...nothing, position: at }
    const board = boardOf(e.state)
    const replaced = !at || at.epoch !== e.epoch || e.seq > at.seq
    return { ...nothing, position: { epoch: e.epoch, seq: e.seq, board }, replaced, changed: e.state.jobs }
  }
  if (!at || at.epoch !== e.epoch) return { ...nothing, position: at, resync: true }
  if (e.seq <= at.seq) return { ...nothing, position: at }
  // Progress moves seq and leaves the board as it is, so that nothing is drawn again because of it.
  const next = (board: Board): Position => ({ epoch: at.epoch, seq: e.seq, board })
  switch (e.type) {
    case "job.changed":
      return { ...nothing, position: next(withJob(at.board, e.job)), changed: [e.job] }
    case "job.progress":
      return { ...nothing, position: next(at.board), progress: e.progress }
    case "job.removed":
      return { ...nothing, position: next(withoutJob(at.board, e.id)), removed: e.id }
    case "worker.changed":
      return { ...nothing, position: next({ ...at.board, worker: e.worker }), refresh: true }
    case "queue.changed":
      return { ...nothing, position: next(withQueue(at.board, e.queue)), refresh: true }
    case "system.gauges":
      return { ...nothing, position: next({ ...at.board, gauges: e.gauges }) }
    case "notice":
      return { ...nothing, position: next(at.board), refresh: true }
    case "model.progress":
      return { ...nothing, position: next(withDownload(at.board, e.model)) }
    default:
      return assertNever(e)
  }
}

/** submitted adds the answer of POST /jobs, unless an event was quicker: the event is newer. */
export function submitted(board: Board, job: Job): Board {
  return board.jobs[job.id] ? board : withJob(board, job)
}

/** without takes a job away before its event comes. */
export const without = (board: Board, id: string): Board => (board.jobs[id] ? withoutJob(board, id) : board)

/** refreshed takes what no event carries from a state that was asked for, and leaves the jobs to the events. */
export function refreshed(at: Position, state: State): Position {
  if (state.epoch !== at.epoch) return at
  const { ready, reasons, model, notices, version } = state
  const worker = state.seq >= at.seq ? state.worker : at.board.worker
  return { ...at, board: { ...at.board, ready, reasons, model, notices, version, worker } }
}

function boardOf(state: State): Board {
  const { jobs, epoch: _epoch, seq: _seq, ...rest } = state
  return { ...rest, jobs: Object.fromEntries(jobs.map((job) => [job.id, job])) }
}

function withJob(board: Board, job: Job): Board {
  return { ...board, jobs: { ...board.jobs, [job.id]: job } }
}

function withDownload(board: Board, p: ModelProgress): Board {
  return { ...board, downloads: [...board.downloads.filter((d) => d.id !== p.id), p] }
}

/** withQueue also moves every waiting job to its place: only one of them may have had an event of its own. */
function withQueue(board: Board, queue: Queue): Board {
  let jobs = board.jobs
  for (const [i, id] of queue.waiting.entries()) {
    const job = jobs[id]
    if (job?.state === "queued" && job.position !== i + 1) jobs = { ...jobs, [id]: { ...job, position: i + 1 } }
  }
  return { ...board, queue, jobs }
}

function withoutJob(board: Board, id: string): Board {
  const { [id]: _gone, ...jobs } = board.jobs
  return { ...board, jobs }
}
