import { readFile } from "node:fs/promises"
import { join } from "node:path"
import type { Browser, Page } from "playwright-core"
import { afterAll, afterEach, beforeAll, expect, test } from "vitest"
import { byId, newPage, openBrowser, seriousViolations, shoot, type Watched } from "./browser"
import { comparedWithGrey } from "./pixels"
import { chunks } from "./png"
import { photos, Server, until } from "./server"

/** Enough steps that something can happen in mid-job. */
const longSteps = 8
const photo = join(photos, "coffee.jpg")

let server: Server
let browser: Browser
let watched: Watched | null = null

beforeAll(async () => {
  server = await Server.start()
  browser = await openBrowser()
})

afterAll(async () => {
  await browser?.close()
  await server?.stop()
})

afterEach(async () => {
  await watched?.page.context().close()
  watched = null
})

async function open(options: Parameters<typeof newPage>[2] = {}): Promise<Page> {
  watched = await newPage(browser, server.url, options)
  await connected(watched.page)
  return watched.page
}

const connected = (page: Page) => page.locator('[data-testid="connection"][data-status="live"]').waitFor()
const itemOf = (page: Page, id: string, state: string) =>
  page.locator(`[data-testid="history-item"][data-job-id="${id}"][data-state="${state}"]`)

/** begin sends an edit and gives the id of its job. */
async function begin(page: Page, prompt: string, steps?: number): Promise<string> {
  await byId(page, "file-input").setInputFiles(photo)
  await byId(page, "prompt").fill(prompt)
  if (steps) {
    if (!(await page.getByLabel("Steps", { exact: true }).isVisible())) await page.getByRole("button", { name: "Settings", exact: true }).click()
    await page.getByLabel("Steps", { exact: true }).fill(String(steps))
  }
  const answer = page.waitForResponse((r) => r.url().endsWith("/api/v1/jobs") && r.request().method() === "POST")
  await byId(page, "run").click()
  return ((await (await answer).json()) as { id: string }).id
}

/** inMidJob waits until steps are really computed. */
const inMidJob = (id: string) =>
  until("the job computes steps", async () => {
    const { state, step, phase } = await server.job(id)
    if (state === "failed" || state === "succeeded") throw new Error(`qie ended the job too early: ${state}`)
    return state === "running" && phase === "denoise" && step >= 1
  })

test("a first visit shows where to begin, asks nobody else and writes no error", async () => {
  const page = await open()
  await page.getByText("Drop a photo here").waitFor()
  expect(await byId(page, "notice").first().innerText()).toContain("demo model")
  await shoot(page, "first-run")
  await server.ready()
  await byId(page, "not-ready").waitFor({ state: "detached" })
  expect(await byId(page, "run").isDisabled()).toBe(true)
  expect(watched?.errors).toEqual([])
  expect(watched?.foreign).toEqual([])
})

test("a sample that is tried runs to its end", async () => {
  const page = await open()
  await page.getByRole("button", { name: "Try it with this photo" }).click()
  await page.getByRole("img", { name: "The photo: cat.jpg" }).waitFor()
  await page.keyboard.press("Control+Enter")
  await byId(page, "result").waitFor({ timeout: 60_000 })
  expect(await byId(page, "result").innerText()).toContain("640 × 426 px")
  expect(await page.locator('[data-code="no_visible_change"]').count()).toBe(0)
  await shoot(page, "sample-tried")
  expect(watched?.errors).toEqual([])
  expect(watched?.foreign).toEqual([])
})

test("a result without a visible change says so, and what the model knows instead", async () => {
  const page = await open()
  await begin(page, "leave the picture as it is")
  const notice = page.locator('[data-testid="notice"][data-code="no_visible_change"]')
  await notice.waitFor({ timeout: 60_000 })
  expect(await notice.innerText()).toMatch(/this small model did not know what to do with that/)
  expect(await seriousViolations(page)).toEqual([])
  await shoot(page, "unchanged")
  const known = (await server.state()).model.known_edits[0]
  if (!known) throw new Error("the demo knows no edits")
  await notice.getByRole("button", { name: known.label, exact: true }).click()
  await page.getByRole("img", { name: "The photo: coffee.png" }).waitFor()
  expect(await byId(page, "prompt").inputValue()).toBe(known.prompt)
  expect(await page.locator("figure img").count()).toBe(1)
  await page.keyboard.press("Control+Enter")
  await byId(page, "result").waitFor({ timeout: 60_000 })
  expect(await notice.count()).toBe(0)
})

test("a photo becomes black and white, at its own size", async () => {
  const page = await open()
  const id = await begin(page, "make it black and white")
  await byId(page, "phase").waitFor()
  await byId(page, "preview").waitFor({ state: "visible" })
  await shoot(page, "preview")
  await byId(page, "result").waitFor({ timeout: 60_000 })
  const job = await server.job(id)
  const size = { width: 640, height: 427 } // of the photo
  const got = await comparedWithGrey(page, `/api/v1/jobs/${id}/images/1`, job.result?.url ?? "")
  expect({ width: got.width, height: got.height }).toEqual(size)
  expect(got.psnr_db).toBeGreaterThanOrEqual(24)
  const drawn = await byId(page, "compare").locator("img").evaluateAll((all) => all.map((img) => (img as HTMLImageElement).naturalWidth))
  expect(drawn).toEqual([size.width, size.width])
  await shoot(page, "result")
  expect(watched?.errors).toEqual([])
  expect(watched?.foreign).toEqual([])
})

test("a result is compared by keys, downloaded, and edited again", async () => {
  const page = await open()
  await page.locator('[data-testid="history-item"][data-state="succeeded"] [data-row]').first().click()
  const slider = page.getByRole("slider", { name: "Compare before and after" })
  await slider.focus()
  await page.keyboard.press("Home")
  expect(await slider.getAttribute("aria-valuenow")).toBe("0")
  const result = byId(page, "compare").locator(".after")
  expect(await result.isVisible()).toBe(true)
  await page.keyboard.down("\\")
  expect(await result.isVisible()).toBe(false)
  await page.keyboard.up("\\")
  const download = page.waitForEvent("download")
  await page.getByRole("button", { name: "Download" }).click()
  const file = await readFile(await (await download).path())
  expect(file.byteLength).toBeGreaterThan(10_000)
  expect(new Set(chunks(file))).toEqual(new Set(["IHDR", "IDAT", "IEND"])) // no word of who made it, where and how
  await page.getByRole("button", { name: "Edit this result" }).click()
  await page.getByRole("img", { name: /coffee-edited/ }).waitFor()
  expect(await page.locator("figure img").count()).toBe(1)
})

test("an edit is canceled in mid-job", async () => {
  const page = await open()
  const id = await begin(page, "make it sepia", 60)
  await inMidJob(id)
  await byId(page, "cancel").click()
  await itemOf(page, id, "canceled").waitFor({ timeout: 20_000 })
  expect((await server.job(id)).state).toBe("canceled")
  await shoot(page, "canceled")
  await page.getByRole("button", { name: "Try again", exact: true }).click()
  await byId(page, "progress").waitFor()
  await page.locator("body").press("Shift+X")
  await byId(page, "progress").waitFor({ state: "detached", timeout: 20_000 })
  const item = itemOf(page, id, "canceled")
  await item.hover()
  await item.getByRole("button", { name: /^Remove “/ }).click()
  await item.waitFor({ state: "detached" })
})

test("a reload in mid-job shows the same job, and its end", async () => {
  const page = await open()
  const id = await begin(page, "make it darker", longSteps)
  await inMidJob(id)
  await page.reload()
  await byId(page, "progress").waitFor()
  await page.locator('[data-testid="phase"]', { hasText: "step" }).waitFor()
  await shoot(page, "reloaded")
  await itemOf(page, id, "succeeded").waitFor({ timeout: 90_000 })
  await byId(page, "result").waitFor()
})

test("a worker killed in mid-job costs a try, not the job", async () => {
  const page = await open()
  const id = await begin(page, "make it warmer", longSteps)
  await inMidJob(id)
  const { worker } = await server.state()
  if (!worker.pid) throw new Error("the worker has no process id")
  process.kill(worker.pid, "SIGKILL")
  await itemOf(page, id, "queued").or(itemOf(page, id, "dispatched")).or(itemOf(page, id, "running")).first().waitFor()
  await until("a second try", async () => (await server.job(id)).attempt === 2)
  await page.locator('[data-testid="progress"]', { hasText: "try 2" }).waitFor({ timeout: 60_000 })
  const inSight = await byId(page, "progress").evaluate((line) => {
    const box = line.getBoundingClientRect()
    return box.width > 0 && document.elementFromPoint(box.x + box.width / 2, box.y + box.height - 2)?.closest("[data-testid=progress]") === line
  })
  expect(inSight).toBe(true)
  await shoot(page, "second-try")
  await itemOf(page, id, "succeeded").waitFor({ timeout: 90_000 })
  expect(await byId(page, "notice").allInnerTexts()).toEqual(expect.arrayContaining([expect.stringMatching(/again|retried|worker/i)]))
})

test("qie killed in mid-job and started again: the page comes back by itself and the job ends well", async () => {
  const page = await open()
  const id = await begin(page, "make it cooler", longSteps)
  await inMidJob(id)
  await server.killAndRestart(async () => {
    await page.locator('[data-testid="connection"][data-status="lost"]').waitFor()
    await shoot(page, "lost")
  })
  await connected(page)
  await itemOf(page, id, "succeeded").waitFor({ timeout: 110_000 })
  await byId(page, "result").waitFor()
  await shoot(page, "after-restart")
})

test("what cannot be done is said in words, with the next action", async () => {
  const page = await open()
  await byId(page, "file-input").setInputFiles({ name: "note.txt", mimeType: "text/plain", buffer: Buffer.from("hello") })
  expect(await byId(page, "error").innerText()).toMatch(/cannot be edited[\s\S]*Next: Use JPEG/)
  await byId(page, "file-input").setInputFiles({ name: "broken.png", mimeType: "image/png", buffer: Buffer.from("no picture") })
  await byId(page, "prompt").fill("make it sepia")
  await byId(page, "run").click()
  await page.locator('[data-testid="error"][data-code^="image_"]').first().waitFor()
  await page.getByRole("button", { name: "Remove photo 1" }).click() // a model of three photos would keep it
  await byId(page, "file-input").setInputFiles(photo)
  await page.getByRole("button", { name: "Settings", exact: true }).click()
  await page.getByLabel("Steps", { exact: true }).fill("500")
  await byId(page, "run").click()
  await page.locator('[data-testid="error"][data-code="out_of_range"]').waitFor()
  expect(await byId(page, "error").innerText()).toContain("500")
  await shoot(page, "error")
})

test("an edit by keyboard alone", async () => {
  const page = await open()
  const chooser = page.waitForEvent("filechooser")
  const button = page.getByRole("button", { name: "Choose a photo" })
  for (let i = 0; i < 30 && !(await button.evaluate((b) => b === document.activeElement)); i++) await page.keyboard.press("Tab")
  expect(await button.evaluate((b) => getComputedStyle(b).outlineStyle)).toBe("solid")
  await page.keyboard.press("Enter")
  await (await chooser).setFiles(photo)
  await page.getByRole("img", { name: "The photo: coffee.jpg" }).waitFor()
  await page.keyboard.press("p")
  await page.keyboard.type("invert the colors")
  await page.keyboard.press("Control+Enter")
  await byId(page, "result").waitFor({ timeout: 60_000 })
})
