import type { Gauges, Job, LiveEvent, ModelProgress, Notice, Progress, Queue, State, Worker } from "../api/gen/qie"

type Stamp = { epoch: string; seq: number }

/** One live frame, narrowed by its type. The OpenAPI document has one shape with optional fields; here each has its own. */
export type Live = Stamp &
  (
    | { type: "state"; state: State }
    | { type: "job.changed"; job: Job }
    | { type: "job.progress"; progress: Progress }
    | { type: "job.removed"; id: string }
    | { type: "worker.changed"; worker: Worker }
    | { type: "queue.changed"; queue: Queue }
    | { type: "model.progress"; model: ModelProgress }
    | { type: "system.gauges"; gauges: Gauges }
    | { type: "notice"; notice: Notice }
  )

/** narrow gives null for a type that this page does not know, and for a frame that misses what its type promises. */
export function narrow(e: LiveEvent): Live | null {
  const stamp = { epoch: e.epoch, seq: e.seq }
  switch (e.type) {
    case "state":
      return e.state ? { ...stamp, type: e.type, state: e.state } : null
    case "job.changed":
      return e.job ? { ...stamp, type: e.type, job: e.job } : null
    case "job.progress":
      return e.progress ? { ...stamp, type: e.type, progress: e.progress } : null
    case "job.removed":
      return e.id ? { ...stamp, type: e.type, id: e.id } : null
    case "worker.changed":
      return e.worker ? { ...stamp, type: e.type, worker: e.worker } : null
    case "queue.changed":
      return e.queue ? { ...stamp, type: e.type, queue: e.queue } : null
    case "model.progress":
      return e.model ? { ...stamp, type: e.type, model: e.model } : null
    case "system.gauges":
      return e.gauges ? { ...stamp, type: e.type, gauges: e.gauges } : null
    case "notice":
      return e.notice ? { ...stamp, type: e.type, notice: e.notice } : null
    default:
      return null
  }
}
