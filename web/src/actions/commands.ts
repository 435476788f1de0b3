import {
  cancelJob, duplicateJob, getGetResultUrl, getJob, markJob, moveJob, pauseModel, pauseQueue, pullModel, removeJob, resumeQueue, restartWorker, retryJob,
  submitJob, unloadWorker, type Job, type KnownEdit,
} from "../api/gen/qie"
import { OFFLINE, RequestError } from "../api/request"
import { keepJob, patchHistory, readBoard, readHistory, readJob } from "../live/board"
import { submitted, without } from "../live/apply"
import { remember } from "../live/connect"
import { patchTree, readGrove } from "../live/trees"
import { maskUrl, resultUrl, sourceUrl } from "../lib/addresses"
import { baseOf, parentOf, type Base } from "../lib/base"
import { editing } from "../lib/editing"
import { sentenceOf } from "../lib/errors"
import { pictures } from "../lib/files"
import { fileName } from "../lib/format"
import { t } from "../lib/i18n"
import { inserted } from "../lib/insert"
import { picturesOf, wanted } from "../lib/known-edits"
import { promptsOf, stepped } from "../lib/prompts"
import { recipeOf, settingsOf } from "../lib/recipe"
import type { Sample } from "../lib/samples"
import { redone, root, undone } from "../lib/tree"
import { addSources, setMask, setPhoto, setSources, useUi, type Editor } from "../lib/ui-store"

/** What the page can do. Each command says its failure in the one place for problems and never throws. */

async function attempt(work: () => Promise<unknown>): Promise<void> {
  try {
    await work()
  } catch (error) {
    useUi.setState({ problem: sentenceOf(error) })
  }
}

export const slots = (): number => readBoard()?.model.max_images || 1

export function takeFiles(list: Iterable<File>): void {
  const { files, problem } = pictures(list)
  const { selected, from, sources } = useUi.getState()
  const base = slots() > 1 && files.length > 0 ? baseOf(readJob(selected), from, sources.length) : null
  // Only a result is joined: what a waiting edit began from has its own edit already.
  if (base?.picture === "result") void attempt(() => beside(base, files))
  else if (files.length > 0) addSources(files, slots())
  if (problem) useUi.setState({ problem })
}

/** beside puts photos behind the result that is edited next; that becomes a photo of its own. */
async function beside(base: Base, files: readonly File[]): Promise<void> {
  const others = useUi.getState().sources.slice(1).map((s) => s.file)
  setSources([await pictureOf(base.job, base.picture), ...others, ...files], slots())
}

/** Where something is dropped: anywhere, beside the slots, or on the photo of this id. */
export type Onto = "page" | "slots" | number

/**
 * takeDropped is for photos that are dropped or pasted. Anywhere they take the place of what is there, such as a sample;
 * onto a photo, of that one. Onto the slots, or while the sentence waits for one more, they are added.
 */
export function takeDropped(list: Iterable<File>, onto: Onto): void {
  const { sources, prompt } = useUi.getState()
  const waits = sources.length > 0 && wanted(prompt, readBoard()?.model.known_edits ?? []) > sources.length
  const { files, problem } = pictures(list)
  const [first, ...more] = files
  if (first && typeof onto === "number") {
    setPhoto(onto, first, null, null)
    useUi.setState({ selected: null, problem: null })
    if (more.length > 0) addSources(more, slots())
  } else if (first) (onto === "slots" || waits ? addSources : setSources)(files, slots())
  if (problem) useUi.setState({ problem })
}

/** takeDroppedJob makes the picture of a job a photo of this edit. */
export const takeDroppedJob = (id: string, onto: Onto): Promise<void> =>
  attempt(async () => {
    const job = readJob(id) ?? (await getJob(id))
    takeDropped([await picture(resultUrl(job) ?? sourceUrl(job, 0), fileName(job.images[0]?.name, job.id))], onto)
  })

/** nameInPrompt writes the name of photo n where the cursor is. */
export function nameInPrompt(n: number): void {
  const field = document.getElementById("prompt")
  if (!(field instanceof HTMLTextAreaElement)) return
  const { text, at } = inserted(field.value, field.selectionStart, field.selectionEnd, t("source.name", { n }))
  useUi.setState({ prompt: text })
  field.focus()
  requestAnimationFrame(() => field.setSelectionRange(at, at))
}

const copiedFor_ms = 2_000

/** copyResult puts the picture of a job on the clipboard. */
export const copyResult = (job: Job): Promise<void> =>
  attempt(async () => {
    const url = resultUrl(job)
    if (!url) return
    if (!isSecureContext || !("ClipboardItem" in globalThis)) throw new Error(t("copy.impossible"))
    // The promise, not the picture: a browser lets the page write only right after the key or click.
    await navigator.clipboard.write([new ClipboardItem({ "image/png": fetched(url, "result.png") })])
    useUi.setState({ copied: job.id })
    setTimeout(() => useUi.setState({ copied: null }), copiedFor_ms)
  })

export const pickFiles = (): void => document.getElementById("file-input")?.click()

/** chooseEdit writes the sentence; where only another photo is missing, it asks for that at once. */
export function chooseEdit(edit: KnownEdit): void {
  useUi.setState({ prompt: edit.prompt })
  const { selected, from, sources } = useUi.getState()
  const photos = Math.max(sources.length, baseOf(readJob(selected), from, sources.length) ? 1 : 0)
  if (photos > 0 && photos < picturesOf(edit)) pickFiles()
}

/** trySample makes a sample the photo of the next edit, with the sentence that made its result. */
export const trySample = (sample: Sample): Promise<void> =>
  attempt(async () => {
    setSources([await fetched(sample.before, `${sample.name}.jpg`)], slots())
    useUi.setState({ prompt: sample.prompt })
    document.getElementById("prompt")?.focus()
  })

/** run queues the edit, in as many variations as were asked for; first puts it in front of all that wait. */
export async function run(first = false): Promise<void> {
  const { prompt, settings, sending, copies } = useUi.getState()
  if (sending) return
  useUi.setState({ sending: true, problem: null })
  await attempt(async () => {
    await editing.finish?.() // what an open editor holds counts
    const { sources, selected, from } = useUi.getState()
    const base = baseOf(readJob(selected), from, sources.length)
    const image = sources.map((s) => s.file)
    const mask = base ? null : sources[0]?.mask // it was drawn on the photo in the slot
    if (base) image.splice(0, 1, await pictureOf(base.job, base.picture))
    const parent = base && parentOf(base)
    const job = await submitJob({
      image, recipe: recipeOf(prompt, settings), ...(mask ? { mask: mask.file } : {}), ...(parent ? { parent } : {}),
    })
    remember((board) => submitted(board, job))
    useUi.setState({ selected: job.id, root: null })
    if (first) await moveJob(job.id, {})
    for (let n = 1; n < copies; n++) {
      const other = await duplicateJob(job.id, { other_seed: true })
      remember((board) => submitted(board, other))
    }
  })
  useUi.setState({ sending: false })
}

/** openEditor opens an editor on what the next edit begins from: a result becomes the photo in the first slot for it. */
export const openEditor = (editor: Editor): Promise<void> =>
  attempt(async () => {
    const { selected, from, sources } = useUi.getState()
    const base = baseOf(readJob(selected), from, sources.length)
    if (base) setSources([await pictureOf(base.job, base.picture), ...sources.slice(1).map((s) => s.file)], slots())
    useUi.setState({ editor, selected: null, problem: null })
  })

/** finishEditor takes over what the open editor holds, and closes it. */
export const finishEditor = (): Promise<void> => attempt(async () => editing.finish?.())

export const cancel = (id: string): Promise<void> => attempt(() => cancelJob(id))

export const retry = (id: string): Promise<void> =>
  attempt(async () => {
    await retryJob(id)
    useUi.setState({ selected: id, problem: null })
  })

/** again in the line, the same or, with another seed, a variation. */
export const duplicate = (job: Job, otherSeed: boolean): Promise<void> =>
  attempt(async () => {
    const other = await duplicateJob(job.id, { other_seed: otherSeed })
    remember((board) => submitted(board, other))
    useUi.setState({ selected: other.id, problem: null })
  })

/** move puts a waiting job in front of another one, or of all. */
export const move = (id: string, before?: string): Promise<void> => attempt(() => moveJob(id, before ? { before } : {}))

export const star = (job: Job): Promise<void> => attempt(() => markJob(job.id, { starred: !job.starred }))

/** select shows a job on the stage, whatever the stage showed. */
export function select(job: Job): void {
  keepJob(job)
  useUi.setState({ selected: job.id, problem: null, root: null })
}

/** discard puts jobs into the trash and says how to get them back. The stage goes to what they were made from. */
export const discard = (jobs: readonly Job[]): Promise<void> =>
  attempt(async () => {
    const first = jobs[0]
    if (!first) return
    const { tree, jobs: known } = readGrove(first.photo ?? "")
    const { selected } = useUi.getState()
    if (jobs.some((job) => job.id === selected)) {
      const up = known.get(undone(tree, first.id) ?? root)
      useUi.setState({ selected: up && !jobs.includes(up) ? up.id : null })
    }
    for (const job of jobs) {
      await markJob(job.id, { trashed: true })
      // The event says the same; whoever looks must not see it until then.
      remember((board) => without(board, job.id))
      patchHistory(job.id, null)
    }
    patchTree(null)
    const text = jobs.length === 1 ? t("done.trashed", { prompt: first.recipe.prompt }) : t("done.trashed.many", { n: jobs.length })
    useUi.setState({ done: { text, undo: () => void restore(jobs) } })
  })

/** restore takes jobs out of the trash. */
export const restore = (jobs: readonly Job[]): Promise<void> =>
  attempt(async () => {
    let last: Job | null = null
    for (const job of jobs) last = await markJob(job.id, { trashed: false })
    patchTree(null)
    if (last) keepJob(last)
    useUi.setState({ done: null, trashed: false, ...(last ? { selected: last.id } : {}) })
  })

/** removeForGood is for what is in the trash: nothing brings it back. */
export const removeForGood = (id: string): Promise<void> =>
  attempt(async () => {
    await removeJob(id)
    patchHistory(id, null)
    useUi.setState((ui) => (ui.selected === id ? { selected: null } : {}))
  })

/** undo goes to what the job on the stage was made from, at last to the photo. */
export const undo = (): Promise<void> =>
  attempt(async () => {
    const job = readJob(useUi.getState().selected)
    if (!job) return
    const { tree, jobs } = readGrove(job.photo ?? "")
    const up = undone(tree, job.id)
    if (up === null) return
    const left = { ...useUi.getState().left, [up === root ? photoKey(job) : up]: job.id }
    const parent = jobs.get(up)
    if (parent) {
      keepJob(parent)
      useUi.setState({ selected: parent.id, problem: null, left })
      return
    }
    await showPhoto(job)
    useUi.setState({ left })
  })

/** redo goes to the edit that undo left last, else to the newest. */
export function redo(): void {
  const { selected, root: at, sources, left } = useUi.getState()
  const job = readJob(selected)
  const from = job ?? (at && sources[0]?.id === at.source ? readJob(at.job) : null)
  if (!from) return
  const { tree, jobs } = readGrove(from.photo ?? "")
  const down = job ? redone(tree, job.id, left) : redone(tree, root, { [root]: left[photoKey(from)] ?? "" })
  const edit = down === null ? undefined : jobs.get(down)
  if (edit) select(edit)
}

const setSeed = (seed: string): void => useUi.setState((ui) => ({ settings: { ...ui.settings, seed } }))

/** lockSeed keeps the seed of the result on the stage for the next edits; again, it lets go. */
export function lockSeed(): void {
  const { settings, selected } = useUi.getState()
  const own = readJob(selected)?.result?.seed
  if (settings.seed !== "") setSeed("")
  else if (own === undefined) newSeed()
  else setSeed(String(own))
}

export const newSeed = (): void => setSeed(String(Math.floor(Math.random() * Number.MAX_SAFE_INTEGER)))

/** promptStep writes the sentence that was written before, or after, the one in the box. */
export function promptStep(by: 1 | -1): void {
  const { prompt, selected } = useUi.getState()
  const before = promptsOf(readHistory(), readJob(selected)?.photo ?? "").map((p) => p.prompt)
  const next = stepped(before, prompt, by)
  if (next !== null) useUi.setState({ prompt: next })
}

const photoKey = (job: Job): string => `photo ${job.photo ?? ""}`

/** showPhoto puts the photo that a tree began with into the first slot and on the stage. */
export async function showPhoto(job: Job): Promise<void> {
  const { jobs, tree } = readGrove(job.photo ?? "")
  let first = job
  for (let up = undone(tree, first.id); up !== null && up !== root; up = undone(tree, first.id)) first = jobs.get(up) ?? first
  const others = useUi.getState().sources.slice(1).map((s) => s.file)
  setSources([await pictureOf(first, "source"), ...others], slots())
  keepJob(job)
  useUi.setState((ui) => ({ root: ui.sources[0] ? { job: job.id, source: ui.sources[0].id } : null }))
}

/** editResult makes the result the source of the next edit; the prompt stays for changing. */
export const editResult = (job: Job): Promise<void> =>
  attempt(async () => {
    setSources([await pictureOf(job, "result")], slots())
  })

/** again brings back photos, mask, sentence and settings of a job. */
export const again = (job: Job): Promise<void> =>
  attempt(async () => {
    const files = await Promise.all(
      job.images.map((image, n) => picture(sourceUrl(job, n), image.name ?? `photo-${n + 1}.png`)),
    )
    const url = maskUrl(job)
    const mask = url ? await fetched(url, "mask.png") : null
    setSources(files, slots())
    const [first] = useUi.getState().sources
    if (mask && first) setMask(first.id, { file: mask, url: URL.createObjectURL(mask), draft: null })
    useUi.setState({ prompt: job.recipe.prompt, settings: settingsOf(job.recipe) })
  })

/** editAgain is again with another sentence. */
export const editAgain = async (job: Job, prompt: string): Promise<void> => {
  await again(job)
  useUi.setState({ prompt })
  document.getElementById("prompt")?.focus()
}

export const pauseLine = (): Promise<void> => attempt(() => pauseQueue({}))
export const resumeLine = (): Promise<void> => attempt(() => resumeQueue())

export const fetchModel = (id: string): Promise<void> => attempt(() => pullModel(id))
export const pauseFetch = (id: string): Promise<void> => attempt(() => pauseModel(id))

export const startWorker = (): Promise<void> => attempt(() => restartWorker())
export const freeWorker = (): Promise<void> => attempt(() => unloadWorker())

const pictureOf = (job: Job, which: "result" | "source"): Promise<File> =>
  which === "result"
    ? picture(resultUrl(job) ?? getGetResultUrl(job.id), fileName(job.images[0]?.name, job.id))
    : picture(sourceUrl(job, 0), job.images[0]?.name ?? "photo.png")

/** The server keeps every picture of a job as PNG, whatever it was. */
const picture = (url: string, name: string): Promise<File> => fetched(url, name.replace(/\.[^.]*$/, "") + ".png")

async function fetched(url: string, name: string): Promise<File> {
  const response = await fetch(url).catch(() => {
    throw new RequestError(0, OFFLINE, "")
  })
  if (!response.ok) throw new RequestError(response.status, "not_found", "")
  const blob = await response.blob()
  return new File([blob], name, { type: blob.type })
}
