import { chmod, mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import type { Browser, Page } from "playwright-core"
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "vitest"
import { byId, newPage, openBrowser, seriousViolations, shoot, type Watched } from "./browser"
import { photos, Server, until } from "./server"

// What a person reads while the worker fails: the real worker, killed, and a Python that can be made to end at once.

const longSteps = 16
/** So many steps are done when the worker is killed, so that some are saved. */
const stepsSeen = 4
let folder: string
let server: Server
let browser: Browser
let watched: Watched | null = null
const broken = () => join(folder, "broken")

beforeAll(async () => {
  const python = process.env["QIE_PYTHON_ENV"]
  if (!python) throw new Error("QIE_PYTHON_ENV names no Python environment")
  folder = await mkdtemp(join(tmpdir(), "qie-python-"))
  await mkdir(join(folder, "bin"))
  await symlink(join(python, "lib"), join(folder, "lib"))
  await writeFile(join(folder, "bin/python"), `#!/bin/sh\n[ -e '${broken()}' ] && exit 3\nexec '${join(python, "bin/python")}' "$@"\n`)
  await chmod(join(folder, "bin/python"), 0o755)
  browser = await openBrowser()
})

// Each with a breaker that has counted nothing: on a busy machine memory that comes back late counts a death twice.
beforeEach(async () => {
  server = await Server.start({ QIE_PYTHON_ENV: folder })
  await server.ready()
})

afterAll(async () => {
  await browser?.close()
  await rm(folder, { recursive: true, force: true })
})

afterEach(async () => {
  await watched?.page.context().close()
  watched = null
  await server?.stop()
})

async function open(): Promise<Page> {
  watched = await newPage(browser, server.url)
  await watched.page.locator('[data-testid="connection"][data-status="live"]').waitFor()
  return watched.page
}

async function begin(page: Page, prompt: string, steps: number): Promise<string> {
  await byId(page, "file-input").setInputFiles(join(photos, "coffee.jpg"))
  await byId(page, "prompt").fill(prompt)
  await page.getByRole("button", { name: "Settings", exact: true }).click()
  await page.getByLabel("Steps", { exact: true }).fill(String(steps))
  const answer = page.waitForResponse((r) => r.url().endsWith("/api/v1/jobs") && r.request().method() === "POST")
  await byId(page, "run").click()
  const { id } = (await (await answer).json()) as { id: string }
  await page.getByRole("button", { name: "Settings", exact: true }).click()
  return id
}

async function killInTry(id: string, attempt: number): Promise<void> {
  await until(`try ${attempt} computes`, async () => {
    const job = await server.job(id)
    if (job.state === "succeeded" || job.state === "failed") throw new Error(`qie ended the job too early: ${job.state}`)
    return job.attempt === attempt && job.state === "running" && job.phase === "denoise" && job.step >= stepsSeen
  })
  const { worker } = await server.state()
  if (!worker.pid) throw new Error("the worker has no process id")
  process.kill(worker.pid, "SIGKILL")
}

const rowOf = (page: Page, id: string) => page.locator(`[data-testid="history-item"][data-job-id="${id}"]`)

test("a worker killed during an edit is said in words, the edit goes on and ends, and the report can be read", async () => {
  const page = await open()
  const id = await begin(page, "make it warmer", longSteps)
  await killInTry(id, 1)
  const notice = page.locator('[data-testid="notice"][data-code="retried"]')
  await notice.waitFor()
  expect(await notice.innerText()).toMatch(/The worker was killed by another process \(SIGKILL\); this edit has a second try/)
  await rowOf(page, id).getByText("try 2").waitFor({ timeout: 60_000 })
  await shoot(page, "words-second-try")
  const link = notice.locator('[data-testid="crash-report"]')
  const report = await page.request.get(new URL((await link.getAttribute("href")) ?? "", server.url).href)
  const text = await report.text()
  expect(JSON.parse(text)).toMatchObject({ signal: "SIGKILL", code: "worker_died" })
  expect(text).not.toMatch(/warmer|coffee|\/home|\/root|qie-e2e/)
  await byId(page, "result").waitFor({ timeout: 90_000 })
  expect(await page.locator('[data-testid="notice"][data-code="resumed"]').innerText()).toMatch(/It was resumed at step \d+ of 16/)
  expect(await seriousViolations(page)).toEqual([])
  await shoot(page, "words-resumed")
})

test("an edit that kills the worker twice is set aside, with cause, what was done and what next", async () => {
  const page = await open()
  const id = await begin(page, "make it sepia", longSteps)
  await killInTry(id, 1)
  await killInTry(id, 2)
  const card = page.locator('[data-testid="error"][data-code="poison"]')
  await card.waitFor({ timeout: 60_000 })
  expect(await card.innerText()).toMatch(/made the worker fail twice[\s\S]*SIGKILL[\s\S]*set aside; the queue goes on[\s\S]*Next: Try fewer steps[\s\S]*Crash report crash-/)
  await rowOf(page, id).getByText("This edit made the worker fail twice.", { exact: true }).waitFor()
  expect(await card.getByRole("button", { name: "Try again" }).isEnabled()).toBe(true)
  expect(await seriousViolations(page)).toEqual([])
  await shoot(page, "words-parked")
})

test("a worker that does not start pauses the queue in words, and Resume lets it go on", async () => {
  const page = await open()
  await until("a worker stands", async () => (await server.state()).worker.pid !== undefined)
  await writeFile(broken(), "")
  const { worker } = await server.state()
  process.kill(worker.pid ?? 0, "SIGKILL")
  const line = page.locator('[data-testid="queue-line"][data-by="worker"]')
  await line.waitFor({ timeout: 60_000 })
  expect(await line.innerText()).toMatch(/Paused: the worker ended with exit code 3[\s\S]*The queue is paused and nothing is lost[\s\S]*Next: /)
  expect(await byId(page, "not-ready").innerText()).toMatch(/does not start/)
  const id = await begin(page, "make it darker", 2)
  await rowOf(page, id).getByText("waiting").waitFor()
  expect(await seriousViolations(page)).toEqual([])
  await shoot(page, "words-broken")
  await page.keyboard.press("Escape")
  await page.locator("body").press("i")
  await page.getByText("Newest crash report").waitFor()
  await shoot(page, "words-system")
  await page.keyboard.press("Escape")
  await rm(broken())
  await byId(page, "resume").click()
  await line.waitFor({ state: "detached" })
  await byId(page, "result").waitFor({ timeout: 90_000 })
  expect((await server.job(id)).state).toBe("succeeded")
})
