import { useQuery } from "@tanstack/react-query"
import type { ReactNode } from "react"
import { freeWorker, startWorker } from "../../actions/commands"
import { getSystem } from "../../api/gen/qie"
import { capital } from "../../lib/errors"
import { bytes, duration } from "../../lib/format"
import { t } from "../../lib/i18n"
import { useUi } from "../../lib/ui-store"
import { useBoard } from "../../live/board"
import { useStatus } from "../../live/status"
import { Button } from "../../ui/button"
import { Dialog } from "../../ui/dialog"
import { FailureWords, ReportLink } from "../../ui/failure-words"
import { Doctor } from "./doctor"
import { Settings, StorageLine } from "./settings"
import { useCountdown, words } from "./worker-line"

/** What a person may know of program and machine; every number is measured. */
export function SystemPanel({ children }: { children?: ReactNode }) {
  const locked = useStatus((s) => s.locked)
  const open = useUi((ui) => ui.panel === "system") && !locked
  return (
    <Dialog open={open} onClose={() => useUi.setState({ panel: null })} title={t("system.title")}>
      {open && <Facts>{children}</Facts>}
    </Dialog>
  )
}

function Facts({ children }: { children: ReactNode }) {
  const board = useBoard((b) => b)
  const system = useQuery({ queryKey: ["system"], queryFn: ({ signal }) => getSystem({ signal }), staleTime: 0 })
  const left = useCountdown(board?.worker ?? null)
  if (!board) return null
  const { worker, gauges, model } = board
  const device = [worker.device, worker.dtype, worker.torch && t("system.torch", { version: worker.torch })].filter(Boolean)
  const busy = worker.state === "busy" || worker.state === "canceling"
  return (
    <div className="space-y-4">
      <dl className="grid grid-cols-[10rem_1fr] gap-y-1.5">
        <Row name={t("system.version")}>{board.version}</Row>
        <Row name={t("system.model")}>{model.name}</Row>
        <Row name={t("system.worker")}>
          {words(worker, left)}
          {worker.pid ? ` (${t("system.generation", { n: worker.generation, pid: worker.pid })})` : ""}
          {worker.reason && <span className="block text-warn">{capital(worker.reason)}</span>}
          <FailureWords done={worker.done} next={worker.hint} />
        </Row>
        {worker.report && <Row name={t("system.crash")}><ReportLink name={worker.report} /></Row>}
        {device.length > 0 && <Row name={t("system.device")}>{device.join(" · ")}</Row>}
        {worker.load_s ? <Row name={t("system.load")}>{duration(worker.load_s)}</Row> : null}
        <Row name={t("system.memory")}>
          {t("system.of", { free: bytes(gauges.memory_available_bytes), total: bytes(gauges.memory_total_bytes) })}
        </Row>
        {gauges.worker_rss_bytes > 0 && <Row name={t("system.worker-memory")}>{bytes(gauges.worker_rss_bytes)}</Row>}
        <Row name={t("system.disk")}>
          {system.data
            ? t("system.of", { free: bytes(gauges.disk_free_bytes), total: bytes(system.data.disk_total_bytes) })
            : bytes(gauges.disk_free_bytes)}
        </Row>
        {system.data && <Row name={t("system.folder")}><code className="font-mono text-xs break-all">{system.data.data_folder}</code></Row>}
        <Row name={t("storage.title")}><StorageLine /></Row>
        <Row name={t("system.docs")}><a href="/docs" className="text-accent underline">{t("system.docs.link")}</a></Row>
      </dl>
      {children}
      <Doctor />
      <Settings />
      <div className="flex flex-wrap gap-2">
        <Button icon="retry" disabled={busy} onClick={() => void startWorker()}>{t("worker.restart")}</Button>
        <Button icon="chip" disabled={worker.state !== "warm"} onClick={() => void freeWorker()}>{t("worker.unload")}</Button>
      </div>
    </div>
  )
}

function Row({ name, children }: { name: string; children: ReactNode }) {
  return (
    <>
      <dt className="text-muted">{name}</dt>
      <dd className="min-w-0 tabular-nums">{children}</dd>
    </>
  )
}
