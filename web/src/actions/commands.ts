import {
  cancelJob, getGetResultUrl, getJob, pauseModel, pauseQueue, pullModel, removeJob, resumeQueue, restartWorker, retryJob, submitJob, unloadWorker, type Job, type KnownEdit,
} from "../api/gen/qie"
import { OFFLINE, RequestError } from "../api/request"
import { readBoard, readJob } from "../live/board"
import { submitted } from "../live/apply"
import { remember } from "../live/connect"
import { maskUrl, resultUrl, sourceUrl } from "../lib/addresses"
import { editing } from "../lib/editing"
import { sentenceOf } from "../lib/errors"
import { pictures } from "../lib/files"
import { fileName } from "../lib/format"
import { t } from "../lib/i18n"
import { inserted } from "../lib/insert"
import { picturesOf, wanted } from "../lib/known-edits"
import { recipeOf, settingsOf } from "../lib/recipe"
import type { Sample } from "../lib/samples"
import { addSources, setMask, setPhoto, setSources, useUi } from "../lib/ui-store"

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
  if (files.length > 0) addSources(files, slots())
  if (problem) useUi.setState({ problem })
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
  const photos = useUi.getState().sources.length
  if (photos > 0 && photos < picturesOf(edit)) pickFiles()
}

/** trySample makes a sample the photo of the next edit, with the sentence that made its result. */
export const trySample = (sample: Sample): Promise<void> =>
  attempt(async () => {
    setSources([await fetched(sample.before, `${sample.name}.jpg`)], slots())
    useUi.setState({ prompt: sample.prompt })
    document.getElementById("prompt")?.focus()
  })

export async function run(): Promise<void> {
  const { prompt, settings, sending } = useUi.getState()
  if (sending) return
  useUi.setState({ sending: true, problem: null })
  await attempt(async () => {
    await editing.finish?.() // what an open editor holds counts
    const { sources } = useUi.getState()
    const mask = sources[0]?.mask
    const job = await submitJob({
      image: sources.map((s) => s.file), ...(mask ? { mask: mask.file } : {}), recipe: recipeOf(prompt, settings),
    })
    remember((board) => submitted(board, job))
    useUi.setState({ selected: job.id })
  })
  useUi.setState({ sending: false })
}

/** finishEditor takes over what the open editor holds, and closes it. */
export const finishEditor = (): Promise<void> => attempt(async () => editing.finish?.())

export const cancel = (id: string): Promise<void> => attempt(() => cancelJob(id))

export const retry = (id: string): Promise<void> =>
  attempt(async () => {
    await retryJob(id)
    useUi.setState({ selected: id, problem: null })
  })

export const remove = (id: string): Promise<void> =>
  attempt(async () => {
    await removeJob(id)
    useUi.setState((ui) => (ui.selected === id ? { selected: null } : {}))
  })

/** editResult makes the result the source of the next edit; the prompt stays for changing. */
export const editResult = (job: Job): Promise<void> =>
  attempt(async () => {
    const name = fileName(job.images[0]?.name, job.id)
    setSources([await picture(getGetResultUrl(job.id), name)], slots())
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
