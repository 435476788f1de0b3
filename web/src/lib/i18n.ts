import { words } from "./words"

/** Every sentence of the page; those of codes and states come from the server. A missing key or value is a type error. */
const en = {
  ...words,

  "app.tagline": "Edit a photo by saying what should change. Nothing leaves this computer.",
  "app.stage": "Photo",
  "app.skip": "Skip to the prompt",

  "source.drop": "Drop a photo here",
  "source.how": "or paste one, or",
  "source.pick": "choose a file",
  "source.types": "JPEG, PNG, WebP or BMP, up to 100 MB",
  "source.release": "Release to use this photo",
  "source.slots": "Photos of this edit",
  "source.slot": "Photo {n}",
  "source.named": "In the sentence: image {n}",
  "source.add": "Add a photo",
  "source.remove": "Remove photo {n}",
  "source.earlier": "Move photo {n} one place forward",
  "source.replace": "Replace the photo",
  "source.input": "Photo to edit",

  "prompt.label": "What should change?",
  "prompt.placeholder": "For example: {example}",
  "prompt.example": "make it black and white",
  "prompt.known": "Edits this model knows",
  "prompt.more": "{n} more",
  "prompt.fewer": "Fewer",

  "prompt.needs": "{n} photos",
  "prompt.missing": "Image {n} is missing. Photos so far: {have} of {n}.",
  "prompt.missing.add": "Add image {n}",
  "prompt.too-many": "The sentence speaks of image {n}. Photos that this model takes: {slots}.",

  "edits.colour": "Colour",
  "edits.light": "Light",
  "edits.shape": "Shape",
  "edits.detail": "Detail",
  "edits.draw": "Draw",
  "edits.parts": "Parts",
  "edits.two steps": "Two steps",
  "edits.two pictures": "Two photos",
  "edits.other": "Other",

  "sample.all": "Samples",
  "sample.show": "Show the sample: {what}",
  "sample.before": "Sample before: {what}",
  "sample.after": "Sample after “{prompt}”: {what}",
  "sample.made": "Made by the demo model from this sentence",
  "sample.try": "Try it with this photo",

  "unchanged.unknown": "Nothing visible has changed: this small model did not know what to do with that. Try one of these:",
  "unchanged.known": "Nothing visible has changed: the photo may look so already. Try one of these:",
  "unchanged.large": "Nothing visible has changed. Say more exactly what should change, or try another seed.",

  "advanced.title": "Settings",
  "advanced.steps": "Steps",
  "advanced.cfg": "Guidance (true CFG)",
  "advanced.negative": "Negative prompt",
  "advanced.negative.help": "What the result should not show. It counts when guidance is above 1.",
  "advanced.seed": "Seed",
  "advanced.seed.random": "random",
  "advanced.size": "Size",
  "advanced.size.auto": "the photo's own",
  "advanced.size.custom": "custom",
  "advanced.width": "Width in pixels",
  "advanced.height": "Height in pixels",
  "advanced.loras": "LoRAs",
  "advanced.strength": "Strength of {name}",
  "advanced.reset": "Use the model's defaults",
  "advanced.default": "{value} (default)",
  "advanced.steps.more": "More steps take longer and follow the sentence more closely.",

  "action.run": "Edit",
  "action.run.sending": "Sending…",
  "action.cancel": "Cancel",
  "action.canceling": "Canceling…",
  "action.download": "Download",
  "action.edit-result": "Edit this result",
  "action.again": "Use again",
  "action.retry": "Try again",
  "action.remove": "Remove",
  "action.remove.sure": "Remove for good?",
  "action.pick": "Choose a photo",
  "action.new": "New edit",
  "action.settings": "Show or hide settings",
  "action.prompt": "Go to the prompt",
  "action.search": "Search the history",
  "action.theme": "Switch between dark and light",
  "action.help": "Keyboard shortcuts",
  "action.system": "System",
  "action.older": "Older job",
  "action.newer": "Newer job",
  "action.peek": "Show the original while held",
  "action.close": "Close",

  "group.edit": "Edit",
  "group.result": "Result",
  "group.view": "View",

  "theme.system": "Theme: as the system",
  "theme.light": "Theme: light",
  "theme.dark": "Theme: dark",

  "compare.label": "Compare before and after",
  "compare.value": "{percent} % of the original shown",
  "compare.before": "Before",
  "compare.after": "After",
  "stage.source": "The photo: {name}",
  "stage.result": "Result of: {prompt}",
  "stage.preview": "Preview of the result",
  "stage.photo": "photo",

  "result.facts": "{width} × {height} px",
  "result.took": "took {time}",
  "result.steps": "{n} steps",
  "result.seed": "seed {seed}",
  "result.copied": "Copied",
  "result.copy-seed": "Copy the seed {seed}",

  "queue.next": "Next in line",
  "queue.position": "Number {n} in line",
  "queue.pause": "Pause",
  "queue.pause.hint": "Start nothing more until you resume; what runs goes on",
  "queue.resume": "Resume",
  "queue.paused": "Paused: {reason}.",
  "queue.waiting": "It starts when qie is ready.",

  "phase.starting": "Starting",
  "phase.canceling": "Canceling",
  "progress.label": "Progress of the edit",
  "progress.step": "step {step} of {steps}",
  "progress.attempt": "try {n}",
  "progress.percent": "{percent} %",
  "progress.title": "{percent} % – qie",
  "progress.left": "about {time} left",
  "progress.left.range": "about {low} to {high} left",
  "progress.said": "{phase}, {percent} %",

  "said.succeeded": "The edit is done.",
  "said.failed": "The edit failed.",
  "said.canceled": "The edit was canceled.",
  "said.queued": "The edit waits in line.",

  "history.title": "History",
  "history.search": "Search prompts",
  "history.empty": "Your edits appear here and stay after a reload.",
  "history.none": "No edit has these words.",
  "history.loading": "Loading…",
  "history.failed": "The history could not be read.",
  "history.remove": "Remove “{prompt}”",
  "history.retry": "Try “{prompt}” again",

  "connection.connecting": "Connecting",
  "connection.live": "Connected",
  "connection.lost": "Connection lost, trying again",
  "connection.lost.detail": "qie does not answer. If it was stopped, start it with ./start; this page reconnects by itself and no accepted job is lost.",

  "worker.label": "Worker: {state}",
  "worker.loading.bytes": "loading the model, {done} of {total}",
  "worker.backoff.in": "starts again in {s} s",
  "worker.restart": "Start the worker again",
  "worker.unload": "Free the model's memory",
  "worker.reload-page": "Reload the page",

  "ready.title": "Not ready yet",
  "ready.queue": "You can already send an edit; it waits in line.",

  "notice.dismiss": "Dismiss",
  "model.label": "Model: {name}",

  "system.title": "System",
  "system.version": "qie",
  "system.worker": "Worker",
  "system.generation": "start number {n}, process {pid}",
  "system.device": "Device",
  "system.torch": "torch {version}",
  "system.model": "Model",
  "system.memory": "Memory free",
  "system.of": "{free} of {total}",
  "system.worker-memory": "Worker's memory",
  "system.disk": "Disk free",
  "system.load": "Last model load",
  "system.crash": "Newest crash report",
  "system.folder": "Data folder",
  "system.docs": "API",
  "system.docs.link": "Routes and OpenAPI document",
  "settings.title": "Settings",
  "settings.from": "from {from}",
  "settings.line": "{from}, line {line}",
  "settings.next": "{value} at the next start of qie",
  "settings.problem": "What is written now is not used: {problem}",
  "settings.live": "changes at once",
  "settings.failed": "The settings could not be asked.",
  "storage.title": "Jobs on disk",
  "storage.jobs": "{n} jobs, {size}",
  "storage.originals": "{n} original photos of removed jobs, {size}",

  "system.doctor": "Findings of the doctor",
  "system.doctor.none": "The doctor found nothing to report.",
  "system.doctor.failed": "The doctor could not be asked.",

  "model.full": "The full model",
  "model.catalogue": "Models to fetch",
  "model.more": "{n} more",
  "model.offer": "What serves now is a miniature. The full model ({licence}) is fetched once; you can work meanwhile.",
  "model.terms": "{licence} · {fit}",
  "model.get": "Get",
  "model.pause": "Pause",
  "model.resume": "Resume",
  "model.hide": "Hide until the page is loaded again",
  "model.progress": "Download of {name}",
  "model.size": "{total}",
  "model.here": "{total}, every file checked",
  "model.amount": "{done} of {total}",
  "model.speed": "{speed} a second",
  "model.queued": "waits for the other download",
  "model.listing": "asking which files there are",
  "model.checking": "checking what is here",
  "model.waiting": "waits: {why}",
  "model.paused": "paused",

  "help.title": "Keyboard shortcuts",
  "help.single": "Single-key shortcuts",
  "help.single.detail": "Turn off keys without Ctrl or ⌘ if they get in the way of your assistive tools.",
  "help.compare": "Arrow keys move the slider between before and after.",

  "token.title": "This qie asks for its token",
  "token.detail": "qie printed it at its start. It is exchanged for a cookie of this browser and not kept in the page.",
  "token.label": "Token",
  "token.send": "Unlock",
  "token.wrong": "That is not the token. Look at the line that qie printed when it started.",

  "problem.next": "Next: {hint}",
  "problem.dismiss": "Dismiss this message",
  "problem.report": "Crash report {name}",

  "error.unknown": "That did not work.",
  "error.offline": "qie does not answer.",
  "error.offline.done": "nothing was sent",
  "error.offline.next": "Check that it runs (./start); your photo and prompt stay here.",

  "group.tree": "Edits of this photo",
  "action.run-next": "Edit, in front of all that wait",
  "action.more": "More",
  "action.undo": "Back to what this was made from",
  "action.redo": "Forward to its edit",
  "action.star": "Star or take the star away",
  "action.more-like": "More like this",
  "action.duplicate": "Once more, the same",
  "action.discard": "Put into the trash",
  "action.tree": "Show the tree of edits, or all edits",

  "aside.gallery": "All edits",
  "aside.tree": "This photo",
  "day.today": "Today",
  "day.yesterday": "Yesterday",
  "filter.label": "Show only",
  "filter.starred": "Starred",
  "filter.photo": "This photo",
  "filter.trash": "Trash",
  "trash.empty": "The trash is empty. What lies in it for 30 days is removed.",
  "history.star": "Star “{prompt}”",
  "history.unstar": "Take the star from “{prompt}”",
  "history.duplicate": "Queue “{prompt}” once more",
  "history.restore": "Take “{prompt}” out of the trash",
  "history.remove.final": "Remove “{prompt}” for good",
  "queue.title": "Waiting edits",
  "queue.first": "Run “{prompt}” next",
  "queue.up": "Move “{prompt}” one place up",
  "queue.down": "Move “{prompt}” one place down",
  "queue.cancel": "Take “{prompt}” out of the line",
  "queue.more": "{n} more wait",
  "done.trashed": "“{prompt}” is in the trash.",
  "done.trashed.many": "{n} edits are in the trash.",
  "done.undo": "Undo",

  "tree.title": "Edits of this photo",
  "tree.photo": "The photo",
  "tree.trail": "How this picture was made",
  "tree.none": "Choose an edit to see the tree that it stands in.",
  "tray.title": "Variations",
  "tray.one": "Variation {n} of {of}",
  "tray.keep": "Keep only this",
  "base.label": "The next edit begins from",
  "base.result": "this result",
  "base.photo": "the photo",
  "base.slot": "Photo 1: {name}",
  "base.is": "what is on the stage",
  "action.prompt-before": "The sentence before",
  "action.prompt-after": "The sentence after",
  "action.lock-seed": "Lock the seed, or let it go",
  "action.notify": "Tell me when an edit ends and I look elsewhere",
  "caution.negative": "The negative prompt does nothing while guidance is off.",
  "caution.negative.on": "Set guidance to {value}",
  "caution.negative.clear": "Clear the negative prompt",
  "presets.label": "How it runs",
  "presets.standard": "Standard",
  "presets.steps": "{n} steps",
  "presets.does": "{n} steps; the time is what was measured on this machine",
  "preset.fast": "Fast, good for a look",
  "preset.balanced": "Balanced",
  "preset.best": "Best, follows closely",
  "prompts.title": "Sentences from before",
  "seed.lock": "Lock the seed",
  "seed.unlock": "Random seed again",
  "seed.new": "Another seed",
  "progress.title.left": "{percent} % · {left} – qie",
  "title.ended": "{words} – qie",
  "time.about": "about {time}",
  "time.range": "{low} to {high}",
  "copies.label": "How many",
  "copies.one": "1 picture",
  "copies.many": "{n} variations",

  "language.label": "Language",
  "offline.shell": "No connection: this page is the one of your last visit, and goes on by itself when qie is back.",
  "notice.resumed": "It was resumed at step {step} of {steps}, where the try before broke off.",
  "notice.interrupted": "qie ended while this edit ran; the edit was started again.",
  "notice.restarted": "Somebody restarted the worker; this edit was started again.",
  "notice.retried": "The worker broke off; this edit was started again.",
  "notice.mask_unused": "The mask was kept but this model does not use it.",

  "time.s": "{n} s",
  "time.min": "{n} min",
  "time.h": "{n} h",
  "time.min-s": "{m} min {s} s",
} as const

type English = typeof en
export type Key = keyof English
export type Dictionary = Record<Key, string>

export const languages = { en: "English", zh: "中文" } as const
export type Language = keyof typeof languages

let spoken: Dictionary = en
let language: Language = "en"

/** speak changes the language of everything that is said from now on. Chinese is fetched when it is asked for first. */
export async function speak(to: Language): Promise<void> {
  spoken = to === "zh" ? (await import("./zh")).zh : en
  language = to
}

export const spokenLanguage = (): Language => language

type Names<S extends string> = S extends `${string}{${infer Name}}${infer Rest}` ? Name | Names<Rest> : never
type Values<K extends Key> = Record<Names<English[K]>, string | number>

/** t gives the sentence of a key with its {names} filled in. */
export function t<K extends Key>(key: K, ...values: [Names<English[K]>] extends [never] ? [] : [Values<K>]): string {
  const text: string = spoken[key]
  const given: Record<string, string | number> = values[0] ?? {}
  return text.replace(/\{([a-z]+)\}/g, (whole, name: string) => String(given[name] ?? whole))
}

/** Keys of sentences without {names}. */
export type PlainKey = { [K in Key]: [Names<English[K]>] extends [never] ? K : never }[Key]

/** known finds a sentence whose key is put together at run time, such as an error code; null lets the caller fall back. */
export function known(key: string): string | null {
  return Object.hasOwn(en, key) ? t(key as PlainKey) : null
}
