import { lazy, useEffect, useRef, useState } from "react"
import { takeDropped, takeDroppedJob, type Onto } from "./actions/commands"
import { jobType } from "./actions/drag"
import { help, notify, system, theme } from "./actions/view"
import { Aside } from "./features/gallery/aside"
import { Gallery } from "./features/gallery/gallery"
import { HelpPanel } from "./features/help/help-panel"
import { Catalogue } from "./features/models/catalogue"
import { GetModelCard } from "./features/models/get-model-card"
import { PromptDock } from "./features/prompt/prompt-dock"
import { Sources } from "./features/sources/sources"
import { Announcer } from "./features/stage/announcer"
import { Stage } from "./features/stage/stage"
import { Trail } from "./features/tree/trail"
import { TreePanel } from "./features/tree/tree-panel"
import { ConnectionLine } from "./features/system/connection-line"
import { ReadyBanner } from "./features/system/ready-banner"
import { SystemPanel } from "./features/system/system-panel"
import { TokenDialog } from "./features/system/token-dialog"
import { WorkerLine } from "./features/system/worker-line"
import { languages, t } from "./lib/i18n"
import { isDark, setLanguage, useUi } from "./lib/ui-store"
import { useBoard } from "./live/board"
import { hasEnded } from "./live/progress"
import { canNotify } from "./live/title"
import { ActionButton, Button } from "./ui/button"
import { DoneLine } from "./ui/done-line"
import { Icon } from "./ui/icons"

/** Editors are loaded when they are opened. */
const editors = {
  mask: lazy(() => import("./features/mask/mask-editor").then((m) => ({ default: m.MaskEditor }))),
  crop: lazy(() => import("./features/crop/crop-editor").then((m) => ({ default: m.CropEditor }))),
}

/** Everything is said anew in another language. */
export function App() {
  const dropping = useDropAndPaste()
  useFirstSelection()
  const language = useUi((ui) => ui.language)
  return <Regions key={language} dropping={dropping} />
}

/** The regions of the page and who lives in them. */
function Regions({ dropping }: { dropping: boolean }) {
  const choice = useUi((ui) => ui.theme)
  const notifies = useUi((ui) => ui.notify)
  return (
    <div className="flex min-h-dvh flex-col lg:h-dvh">
      <a href="#prompt" className="sr-only z-50 rounded-md bg-raised px-3 py-2 focus:not-sr-only focus:absolute focus:top-2 focus:left-2">
        {t("app.skip")}
      </a>
      <header className="flex h-12 shrink-0 items-center gap-3 border-b border-line bg-raised px-4">
        <h1 className="flex items-center gap-2 text-base font-semibold tracking-tight">
          <img src="/icon.svg" alt="" className="size-5" />qie
        </h1>
        <ModelBadge />
        <div className="ml-auto flex items-center gap-3">
          <WorkerLine />
          <ConnectionLine />
          <div className="flex">
            {canNotify() && <ActionButton action={notify} icon="bell" iconOnly pressed={notifies} className={notifies ? "!text-accent" : ""} />}
            <LanguageButton />
            <ActionButton action={system} icon="chip" iconOnly />
            <ActionButton action={theme} icon={isDark(choice) ? "sun" : "moon"} iconOnly />
            <ActionButton action={help} icon="help" iconOnly />
          </div>
        </div>
      </header>
      <div className="flex min-h-0 flex-1 flex-col lg:flex-row">
        <main className="flex min-h-0 min-w-0 flex-1 flex-col">
          <ReadyBanner />
          <GetModelCard />
          <Stage editors={editors} />
          <Trail />
          <PromptDock sources={<Sources />} />
        </main>
        <Aside gallery={<Gallery />} tree={<TreePanel />} />
      </div>
      {dropping && (
        <div className="pointer-events-none fixed inset-2 z-30 grid place-items-center rounded-xl border-2 border-dashed border-accent bg-backdrop">
          <p className="flex items-center gap-2 rounded-lg bg-raised px-5 py-3 text-base font-medium shadow-xl">
            <Icon name="image" className="size-5" />{t("source.release")}
          </p>
        </div>
      )}
      <DoneLine />
      <Announcer />
      <HelpPanel />
      <SystemPanel><Catalogue /></SystemPanel>
      <TokenDialog />
    </div>
  )
}

/** The other language, in its own words. */
function LanguageButton() {
  const language = useUi((ui) => ui.language)
  const other = language === "en" ? "zh" : "en"
  return (
    <Button look="quiet" lang={other === "zh" ? "zh-Hans" : "en"} className="!px-2" data-testid="language" title={t("language.label")} onClick={() => void setLanguage(other)}>{languages[other]}</Button>
  )
}

function ModelBadge() {
  const name = useBoard((board) => board.model.name)
  if (!name) return null
  return <span className="hidden truncate rounded-full bg-sunken px-2.5 py-0.5 text-xs text-muted sm:inline">{t("model.label", { name })}</span>
}

/** A photo can be dropped anywhere and pasted anywhere. */
function useDropAndPaste(): boolean {
  const [dropping, setDropping] = useState(false)
  const depth = useRef(0)
  useEffect(() => {
    const hasFiles = (e: DragEvent) => e.dataTransfer?.types.some((type) => type === "Files" || type === jobType) ?? false
    const enter = (e: DragEvent) => {
      if (!hasFiles(e)) return
      depth.current++
      setDropping(true)
    }
    const leave = (e: DragEvent) => {
      if (hasFiles(e) && --depth.current <= 0) end()
    }
    const over = (e: DragEvent) => { if (hasFiles(e)) e.preventDefault() }
    const end = () => {
      depth.current = 0
      setDropping(false)
    }
    const drop = (e: DragEvent) => {
      if (!hasFiles(e)) return
      e.preventDefault()
      end()
      // A picture that is dragged inside the page may bring a file too, and that is only what was shown of it.
      const job = e.dataTransfer?.getData(jobType)
      if (job) void takeDroppedJob(job, ontoOf(e.target))
      else takeDropped(e.dataTransfer?.files ?? [], ontoOf(e.target))
    }
    const paste = (e: ClipboardEvent) => {
      const files = [...(e.clipboardData?.files ?? [])]
      if (files.length === 0) return
      e.preventDefault()
      takeDropped(files, "page")
    }
    const stop = new AbortController()
    const { signal } = stop
    addEventListener("dragenter", enter, { signal })
    addEventListener("dragleave", leave, { signal })
    addEventListener("dragover", over, { signal })
    addEventListener("drop", drop, { signal })
    addEventListener("paste", paste, { signal })
    return () => stop.abort()
  }, [])
  return dropping
}

function ontoOf(target: EventTarget | null): Onto {
  if (!(target instanceof Element)) return "page"
  const slot = target.closest<HTMLElement>("[data-slot]")?.dataset["slot"]
  if (slot !== undefined) return Number(slot)
  return target.closest("[data-slots]") ? "slots" : "page"
}

/** After a reload the stage shows what it showed; else the job that runs. Once: later the person decides. */
function useFirstSelection(): void {
  const jobs = useBoard((board) => board.jobs)
  const done = useRef(false)
  useEffect(() => {
    if (!jobs || done.current) return
    done.current = true
    if (useUi.getState().selected) return
    const open = Object.values(jobs).find((job) => !hasEnded(job))
    if (open) useUi.setState({ selected: open.id })
  }, [jobs])
}
