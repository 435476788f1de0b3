import { join } from "node:path"
import type { Browser, Page } from "playwright-core"
import { afterAll, afterEach, beforeAll, expect, test } from "vitest"
import { byId, newPage, openBrowser, seriousViolations, shoot, type Watched } from "./browser"
import { photos, Server, until } from "./server"

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
  expect(watched?.errors).toEqual([])
  expect(watched?.foreign).toEqual([])
  await watched?.page.context().close()
  watched = null
})

async function open(options: Parameters<typeof newPage>[2] = {}): Promise<Page> {
  watched = await newPage(browser, server.url, options)
  await watched.page.locator('[data-testid="connection"][data-status="live"]').waitFor()
  return watched.page
}

/** edit writes a sentence, runs it, and waits for its result; it gives the id of the job. */
async function edit(page: Page, prompt: string): Promise<string> {
  await byId(page, "prompt").fill(prompt)
  const answer = page.waitForResponse((r) => r.url().endsWith("/api/v1/jobs") && r.request().method() === "POST")
  await byId(page, "run").click()
  const { id } = (await (await answer).json()) as { id: string }
  await until(`“${prompt}” is done`, async () => (await server.job(id)).state === "succeeded", 90_000)
  await byId(page, "result").getByText(prompt, { exact: true }).waitFor()
  return id
}

/** quick asks for one step: it is the tree that is looked at, not the picture. */
async function quick(page: Page): Promise<void> {
  await page.getByRole("button", { name: "Settings", exact: true }).click()
  await page.getByLabel("Steps", { exact: true }).fill("1")
  await page.getByRole("button", { name: "Settings", exact: true }).click()
}

const steps = (page: Page) => byId(page, "trail").locator("nav button").allInnerTexts()
const current = (page: Page) => byId(page, "trail").locator("nav [aria-current=step]").innerText()

test("each result is edited next; undo, redo and branches walk the tree, which outlives a crash", async () => {
  const page = await open()
  await byId(page, "file-input").setInputFiles(join(photos, "coffee.jpg"))
  await quick(page)
  const sepia = await edit(page, "make it sepia")
  expect(await byId(page, "base-slot").isVisible()).toBe(true)
  const blurred = await edit(page, "blur it")
  expect(await steps(page)).toEqual(["The photo", "make it sepia", "blur it"])
  const [first, second] = [await server.job(sepia), await server.job(blurred)]
  expect(second).toMatchObject({ parent: sepia, photo: first.photo, images: [{ sha256: first.result?.sha256 }] })

  await page.locator("body").press("Control+z")
  expect(await current(page)).toBe("make it sepia")
  const framed = await edit(page, "make it darker") // a branch
  expect((await server.job(framed)).parent).toBe(sepia)
  for (const want of ["make it sepia", "The photo"]) {
    await page.locator("body").press("Control+z")
    await until(`undo goes to ${want}`, async () => (await current(page)) === want)
  }
  for (const want of ["make it sepia", "make it darker"]) {
    await page.locator("body").press("Control+Shift+z")
    await until(`redo goes to ${want}`, async () => (await current(page)) === want)
  }

  await page.keyboard.press("g")
  const nodes = byId(page, "tree-node")
  await nodes.nth(3).waitFor()
  expect(await nodes.evaluateAll((all) => all.map((n) => n.dataset["depth"]))).toEqual(["0", "1", "2", "2"])
  await byId(page, "trail").getByRole("button", { name: "More", exact: true }).click()
  await page.keyboard.press("ArrowDown")
  expect(await page.getByRole("menuitem").filter({ hasText: "Back to what this was made from" }).evaluate((item) => item === document.activeElement)).toBe(true)
  expect(await seriousViolations(page)).toEqual([])
  await page.keyboard.press("Escape")
  await page.locator("body").press(".")
  await until("the star is kept", async () => (await server.job(framed)).starred === true)
  expect(await seriousViolations(page)).toEqual([])
  await shoot(page, "tree")

  await server.killAndRestart(async () => { await page.locator('[data-testid="connection"][data-status="lost"]').waitFor() })
  await page.locator('[data-testid="connection"][data-status="live"]').waitFor()
  await page.reload()
  await nodes.nth(3).waitFor()
  expect(await current(page)).toBe("make it darker")
  watched?.errors.splice(0) // the browser tells of the server that was away
})

test("what is deleted comes back by undo, with its edits in their places", async () => {
  const page = await open()
  const item = page.locator('[data-testid="history-item"]', { hasText: "make it sepia" })
  await item.locator("[data-row]").click()
  await page.locator("body").press("Delete")
  await byId(page, "done-line").waitFor()
  await item.waitFor({ state: "detached" })
  await page.locator('[data-testid="history-item"]', { hasText: "blur it" }).locator("[data-row]").click()
  await until("its edit hangs on the photo", async () => (await steps(page)).join() === "The photo,blur it")
  await byId(page, "done-line").getByRole("button", { name: "Undo" }).click()
  await item.waitFor()
  await page.locator('[data-testid="history-item"]', { hasText: "blur it" }).locator("[data-row]").click()
  await until("it hangs where it was", async () => (await steps(page)).join() === "The photo,make it sepia,blur it")

  await item.hover()
  await item.getByRole("button", { name: /^Remove “/ }).click()
  await item.waitFor({ state: "detached" })
  await page.reload() // the line with its undo is gone, the trash is not
  await page.getByRole("button", { name: "Trash", exact: true }).click()
  await item.waitFor()
  await item.hover()
  await item.getByRole("button", { name: /out of the trash$/ }).click()
  await page.getByRole("button", { name: "Starred", exact: true }).click()
  await page.locator('[data-testid="history-item"]', { hasText: "make it darker" }).waitFor()
  expect(await byId(page, "history-item").count()).toBe(1)
})

test("variations lie in a tray, and the one that is kept alone sends the others to the trash", async () => {
  const page = await open()
  await byId(page, "file-input").setInputFiles(join(photos, "coffee.jpg"))
  await quick(page)
  expect(await page.getByLabel("How many").locator("option").allInnerTexts()).toEqual(["1 picture", "2 variations", "4 variations"])
  await page.getByLabel("How many").selectOption("2")
  await byId(page, "prompt").fill("make it cooler")
  await page.keyboard.press("Control+Enter")
  const tray = byId(page, "variation")
  await tray.nth(1).waitFor({ timeout: 30_000 })
  await until("both are done", async () => (await tray.evaluateAll((all) => all.every((v) => v.dataset["state"] === "succeeded"))), 90_000)
  await tray.first().focus()
  await page.keyboard.press("ArrowRight")
  expect(await tray.nth(1).getAttribute("aria-pressed")).toBe("true")
  expect(await seriousViolations(page)).toEqual([])
  await shoot(page, "tray")
  const jobs = (await server.state()).jobs.filter((j) => j.recipe.prompt === "make it cooler")
  expect(new Set(jobs.map((j) => j.result?.seed)).size).toBe(2)
  await page.getByRole("button", { name: "Keep only this" }).click()
  await byId(page, "tray").waitFor({ state: "detached" })
  await byId(page, "done-line").getByRole("button", { name: "Undo" }).click()
  await tray.nth(1).waitFor()
})
