import { QueryClientProvider } from "@tanstack/react-query"
import { readFileSync } from "node:fs"
import { createElement, type FunctionComponent } from "react"
import { renderToStaticMarkup } from "react-dom/server"
import { beforeAll, expect, test, vi } from "vitest"
import type { Job, State, Worker } from "./api/gen/qie"
import { words } from "./lib/words"

// What a person reads of every state and every pause, drawn as the page draws it.

vi.stubGlobal("localStorage", { getItem: () => null })
vi.stubGlobal("sessionStorage", { getItem: () => null })

let draw: (component: FunctionComponent, board: object) => string
let banner: FunctionComponent, line: FunctionComponent, workerLine: FunctionComponent
let item: (job: Job) => string, notices: (job: Job) => string, card: (code: string) => string
beforeAll(async () => {
  const { queryClient } = await import("./lib/query-client")
  const { boardKey } = await import("./live/board")
  const inside = (node: React.ReactNode) => renderToStaticMarkup(createElement(QueryClientProvider, { client: queryClient }, node))
  draw = (component, board) => {
    queryClient.setQueryData(boardKey, { reasons: [], notices: [], jobs: {}, queue: { paused: false, waiting: [] }, ...board })
    return inside(createElement(component))
  }
  banner = (await import("./features/system/ready-banner")).ReadyBanner
  workerLine = (await import("./features/system/worker-line")).WorkerLine
  line = (await import("./features/gallery/queue-line")).QueueLine
  const { GalleryItem } = await import("./features/gallery/gallery-item")
  item = (job) => inside(<GalleryItem job={job} selected={false} />)
  const { Notices } = await import("./features/stage/notices")
  notices = (job) => inside(<Notices job={job} />)
  const { ProblemCard } = await import("./ui/problem-card")
  const { sentence } = await import("./lib/errors")
  card = (code) => inside(<ProblemCard problem={sentence({ code, message: "it measured 3", report: "crash-1-1.json" })} />)
})

type Document = { components: { schemas: Record<string, { properties: Record<string, { enum?: string[]; description?: string }> }> } }
const api = JSON.parse(readFileSync(new URL("../../api/openapi.json", import.meta.url), "utf8")) as Document
const property = (of: string, name: string) => api.components.schemas[of]?.properties[name]
const states = property("Worker", "state")?.description?.split(" ") ?? []
const pauses = property("Queue", "by")?.enum ?? []
const codes = [...readFileSync(new URL("../../supervisor/job/code.go", import.meta.url), "utf8").matchAll(/^\s+Code\w+\s+Code = "([a-z_]+)"/gm)].map((m) => m[1] ?? "")

test("the tables are read", () => {
  expect(states.length).toBeGreaterThan(10)
  expect(pauses.length).toBeGreaterThan(2)
  expect(codes.length).toBeGreaterThan(30)
})

const worker = (state: string): Worker =>
  ({ state, generation: 2, code: "worker_died", reason: "it was killed", done: "it is started again", hint: "wait a little", report: "crash-2-1.json" })

test.each(states)("worker %s is said in words, with its reason at hand", (state) => {
  const html = draw(workerLine, { worker: worker(state) })
  expect(words[`worker.${state}` as keyof typeof words]).toBeTruthy()
  expect(html).toContain(`>Worker: ${words[`worker.${state}` as keyof typeof words]}<`)
  for (const part of ["it was killed", "it is started again", "wait a little"]) expect(html).toContain(part)
})

test("the next start is promised only where one is planned", async () => {
  const { words: said } = await import("./features/system/worker-line")
  expect(said(worker("backoff"), 3)).toBe("starts again in 3 s")
  expect(said(worker("broken"), 580)).toBe("does not start, the next try is in 9 min 40 s")
  expect(said(worker("broken"), 0)).toBe("does not start")
})

test.each(["broken", "backoff", "suspect"])("a worker that is %s has its cause, what was done, the next action and a button", (state) => {
  const reasons = [{ code: `worker_${state}`, message: "it was killed; it is started again", hint: "wait a little", report: "crash-2-1.json" }]
  const html = draw(banner, { worker: worker(state), reasons } satisfies Partial<State>)
  for (const part of ["It was killed; it is started again", "Next: Wait a little", "/api/v1/crashes/crash-2-1.json", "Start the worker again"]) {
    expect(html).toContain(part)
  }
})

test.each(pauses)("a queue that is paused by the %s says why and shows the way on", (by) => {
  const html = draw(line, { queue: { paused: true, by, reason: "lunch", done: "nothing is lost", hint: "free some space", waiting: [] } })
  expect(html).toContain("Paused: lunch.")
  if (by !== "person") for (const part of ["Nothing is lost", "Next: Free some space"]) expect(html).toContain(part)
  expect(html.includes("Resume")).toBe(by !== "disk") // nobody's press makes space
})

test.each(codes)("the card of %s has the cause, what was done, the next action and the report", (code) => {
  const html = card(code)
  for (const part of [/It measured 3/, /data-testid="done">[^<]{6,}/, /data-testid="next">Next: [^<]{6,}/, /Crash report crash-1-1\.json/]) expect(html).toMatch(part)
})

const job = (change: Partial<Job>) =>
  ({ id: "a", state: "running", attempt: 2, recipe: { prompt: "make it sepia" }, images: [], notices: [], created_at: "2026-11-25T10:00:00Z", ...change }) as unknown as Job

test("a row tells a second try, and why a job failed", () => {
  expect(item(job({}))).toContain("try 2")
  expect(item(job({ attempt: 1 }))).not.toContain("try 1")
  expect(item(job({ state: "succeeded" }))).not.toContain("try 2")
  expect(item(job({ state: "failed", error: { code: "poison", message: "it died" } }))).toContain(">This edit made the worker fail twice.<")
})

test("a notice about a try names the report", () => {
  const html = notices(job({ notices: [{ code: "retried", message: "the worker crashed; this edit has a second try", report: "crash-2-1.json" }] }))
  expect(html).toContain("The worker crashed; this edit has a second try")
  expect(html).toContain("/api/v1/crashes/crash-2-1.json")
})
