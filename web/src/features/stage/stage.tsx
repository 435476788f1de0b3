import { Suspense, useEffect, useState, type ComponentType, type ReactNode } from "react"
import type { Job } from "../../api/gen/qie"
import { crop } from "../../actions/crop"
import { newEdit } from "../../actions/edit"
import { mask } from "../../actions/mask"
import { again, copy, download, editResult, retry } from "../../actions/result"
import { maskUrl, resultUrl, sourceUrl } from "../../lib/addresses"
import { sentence } from "../../lib/errors"
import { duration } from "../../lib/format"
import { t } from "../../lib/i18n"
import { setMask, shownSource, useUi, type Editor, type Source } from "../../lib/ui-store"
import { useJob } from "../../live/board"
import { hasEnded } from "../../live/progress"
import { useStatus } from "../../live/status"
import { ActionButton, Button } from "../../ui/button"
import { MaskShade } from "../../ui/mask-shade"
import { Picture } from "../../ui/picture"
import { ProblemCard } from "../../ui/problem-card"
import { Welcome } from "../welcome/welcome"
import { Compare } from "./compare"
import { Notices } from "./notices"
import { Pane } from "../../ui/pane"
import { Photo } from "./photo"
import { Preview } from "./preview"
import { ProgressLine } from "./progress-line"
import { StageBar } from "../../ui/stage-bar"

type Editors = Record<NonNullable<Editor>, ComponentType<{ source: Source }>>

/** The one place where a picture is looked at: the photo, the edit as it happens, the result. */
export function Stage({ editors }: { editors: Editors }) {
  const editor = useUi((ui) => ui.editor)
  const selected = useUi((ui) => ui.selected)
  const source = useUi(shownSource)
  const { job, gone } = useJob(selected)
  const lost = useStatus((s) => s.connection === "lost")
  // A job that is still being asked for keeps its place empty, so that the page does not jump; without a server nothing comes.
  const awaited = selected !== null && !gone && !lost
  const welcome = !job && !source && !awaited
  useEffect(() => {
    if (gone) useUi.setState({ selected: null })
  }, [gone])
  return (
    <section aria-label={t("app.stage")} data-testid="drop"
      className={`flex shrink-0 flex-col bg-stage lg:h-auto lg:min-h-0 lg:flex-1 lg:shrink ${welcome ? "min-h-[60dvh]" : "h-[60dvh]"}`}>
      {job && <JobStage job={job} />}
      {!job && source && (editor ? <Edited source={source} Editor={editors[editor]} /> : <Prepared source={source} />)}
      {welcome && <Welcome />}
    </section>
  )
}

function Edited({ source, Editor }: { source: Source; Editor: ComponentType<{ source: Source }> }) {
  return <Suspense fallback={<div className="flex-1" />}><Editor key={source.id} source={source} /></Suspense>
}

/** The photo before its edit, with what may change of it. */
function Prepared({ source }: { source: Source }) {
  const first = useUi((ui) => ui.sources[0] === source)
  const allowed = first ? source.mask : null // of the others it is not sent
  return (
    <>
      <StageBar>
        <div className="flex items-center">
          <ActionButton action={crop} look="quiet" icon="crop" className="!h-7 !px-2 !text-xs" />
          <ActionButton action={mask} look="quiet" icon="brush" className="!h-7 !px-2 !text-xs" />
          {allowed && <Button look="quiet" icon="close" className="!h-7 !px-2 !text-xs" onClick={() => setMask(source.id, null)}>{t("mask.remove")}</Button>}
        </div>
      </StageBar>
      <Frame><Photo key={source.url} url={source.url} name={source.file.name} mask={allowed?.url ?? null} /></Frame>
    </>
  )
}

function Frame({ children }: { children: ReactNode }) {
  return <div className="min-h-0 flex-1 px-4 py-2">{children}</div>
}

function JobStage({ job }: { job: Job }) {
  const image = job.images[0]
  const size = job.result ?? image
  const name = image?.name ?? t("stage.photo")
  const before = sourceUrl(job, 0)
  const after = resultUrl(job)
  const mode = useUi((ui) => ui.compare)
  const allowed = maskUrl(job)
  const [shown, setShown] = useState(false)
  const shade = allowed && (shown || !after) ? <MaskShade url={allowed} /> : null
  return (
    <>
      <StageBar comparing={after !== null}>
        {allowed && after && (
          <Button look="quiet" icon="brush" aria-pressed={shown} title={t("mask.shown.title")} onClick={() => setShown(!shown)}
            className={`!h-7 !px-2 !text-xs ${shown ? "!bg-accent-soft !text-ink" : ""}`}>{t("mask.shown")}</Button>
        )}
        {after && <ActionButton action={crop} look="quiet" icon="crop" className="!h-7 !px-2 !text-xs" />}
        {after && <ActionButton action={mask} look="quiet" icon="brush" className="!h-7 !px-2 !text-xs" />}
      </StageBar>
      <Frame>
        {size && (after ? (
          <Compare key={after} before={before} after={after} size={size} mode={mode} over={shade}
            beforeAlt={t("stage.source", { name })} afterAlt={t("stage.result", { prompt: job.recipe.prompt })} />
        ) : (
          <Pane size={size}>
            <div className="layer">
              <Picture src={before} alt={t("stage.source", { name })} className="bg-sunken" />
              {shade}
              {!hasEnded(job) && <Preview key={job.id} job={job.id} attempt={job.attempt} />}
            </div>
          </Pane>
        ))}
      </Frame>
      <div className="shrink-0 space-y-2 px-4 pb-3">
        <Notices job={job} />
        <Foot job={job} />
      </div>
    </>
  )
}

function Foot({ job }: { job: Job }) {
  if (job.state === "failed" && job.error) {
    return (
      <ProblemCard problem={sentence(job.error)}>
        <ActionButton action={retry} icon="retry" />
        <ActionButton action={again} icon="again" />
      </ProblemCard>
    )
  }
  if (job.state === "canceled") {
    return (
      <Bar>
        <p className="flex-1 text-muted">{t("said.canceled")}</p>
        <ActionButton action={retry} icon="retry" />
        <ActionButton action={newEdit} look="quiet" />
      </Bar>
    )
  }
  if (!job.result) return <ProgressLine key={`${job.id} ${job.attempt}`} job={job} />
  const took = seconds(job.started_at, job.finished_at)
  const facts = [
    t("result.facts", { width: job.result.width, height: job.result.height }),
    job.steps > 0 && t("result.steps", { n: job.steps }),
    job.mask && job.result.untouched && t("result.untouched", { percent: Math.floor(job.result.untouched * 1000) / 10 }),
    t("result.seed", { seed: job.result.seed }),
    took > 0 && t("result.took", { time: duration(took) }),
  ]
  return (
    <Bar testId="result">
      <p className="min-w-48 flex-1">
        <span className="block truncate">{job.recipe.prompt}</span>
        <span className="text-xs text-muted tabular-nums">{facts.filter(Boolean).join(" · ")}</span>
      </p>
      <ActionButton action={again} look="quiet" icon="again" />
      <ActionButton action={editResult} icon="edit" />
      <CopyButton job={job.id} />
      <span data-job-id={job.id} draggable title={t("result.drag")}><ActionButton action={download} look="primary" icon="download" /></span>
    </Bar>
  )
}

function CopyButton({ job }: { job: string }) {
  const copied = useUi((ui) => ui.copied === job)
  return (
    <>
      <ActionButton action={copy} icon="copy" iconOnly className={copied ? "!text-good" : ""} />
      <span role="status" className="text-xs text-good">{copied && t("result.copied")}</span>
    </>
  )
}

function seconds(from: string | undefined, to: string | undefined): number {
  return from && to ? (Date.parse(to) - Date.parse(from)) / 1000 : 0
}

function Bar({ children, testId }: { children: ReactNode; testId?: string }) {
  return (
    <div data-testid={testId} className="flex flex-wrap items-center gap-2 rounded-lg border border-line bg-raised px-3 py-2">{children}</div>
  )
}
