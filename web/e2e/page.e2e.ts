import { readFile } from "node:fs/promises"
import { join } from "node:path"
import type { Browser, Page } from "playwright-core"
import { afterAll, beforeAll, expect, test } from "vitest"
import type { Job, State } from "../src/api/gen/qie"
import { byId, newPage, openBrowser, shoot } from "./browser"
import { photos, Server, until } from "./server"

// What the page does with a server that has no worker: the environment is missing, so no job starts.
let server: Server
let browser: Browser

beforeAll(async () => {
  server = await Server.start({ QIE_PYTHON_ENV: "/nonexistent/python" })
  browser = await openBrowser()
})

afterAll(async () => {
  await browser?.close()
  await server?.stop()
})

const connected = (page: Page) => page.locator('[data-testid="connection"][data-status="live"]').waitFor()

/** withState changes what the server tells of itself, before the page hears it. */
async function open(change: (state: State) => State = (state) => state, jobs?: (cursor: string) => unknown): Promise<Page> {
  const context = await browser.newContext({ viewport: { width: 1360, height: 860 } })
  const page = await context.newPage()
  await page.route("**/api/v1/state", async (route) => {
    const response = await route.fetch()
    await route.fulfill({ json: change((await response.json()) as State) })
  })
  if (jobs) await page.route("**/api/v1/jobs?*", (route) => route.fulfill({ json: jobs(new URL(route.request().url()).searchParams.get("cursor") ?? "") }))
  await page.goto(server.url)
  await connected(page)
  return page
}

test("what is missing is said, an edit waits in line and is canceled there", async () => {
  const { page, foreign } = await newPage(browser, server.url)
  await connected(page)
  await byId(page, "not-ready").waitFor()
  expect((await byId(page, "not-ready").innerText()).split("\n").length).toBeGreaterThanOrEqual(3)
  await byId(page, "file-input").setInputFiles(join(photos, "cat.jpg"))
  await page.getByRole("button", { name: "sepia", exact: true }).click()
  expect(await byId(page, "prompt").inputValue()).toBe("make it sepia")
  await page.keyboard.press("Control+Enter")
  await page.locator('[data-testid="history-item"][data-state="queued"]').waitFor()
  expect(await byId(page, "phase").innerText()).toBe("Next in line")
  await shoot(page, "not-ready")
  await byId(page, "cancel").click()
  await page.locator('[data-testid="history-item"][data-state="canceled"]').waitFor()
  expect(foreign).toEqual([])
})

test("a photo can be dropped and pasted", async () => {
  const page = await open()
  const bytes = [...(await readFile(join(photos, "cat.jpg")))]
  const give = (how: "drop" | "paste", name: string) =>
    page.evaluate(([kind, file, data]) => {
      const transfer = new DataTransfer()
      transfer.items.add(new File([new Uint8Array(data)], file, { type: "image/jpeg" }))
      const init = { bubbles: true, cancelable: true }
      const event = kind === "drop" ? new DragEvent("drop", { ...init, dataTransfer: transfer }) : new ClipboardEvent("paste", { ...init, clipboardData: transfer })
      document.body.dispatchEvent(event)
    }, [how, name, bytes] as const)
  await give("drop", "dropped.jpg")
  await page.getByRole("img", { name: "The photo: dropped.jpg" }).waitFor()
  await give("paste", "pasted.jpg")
  await page.getByRole("img", { name: "The photo: pasted.jpg" }).waitFor()
  expect(await page.locator("figure").count()).toBe(1)
})

test("a model for three photos has three slots, in an order that can be changed", async () => {
  const page = await open((state) => ({ ...state, model: { ...state.model, max_images: 3 } }))
  const names = () => page.locator("figure button[title$='.jpg']").evaluateAll((all) => all.map((b) => (b as HTMLElement).title))
  await byId(page, "file-input").setInputFiles(["cat.jpg", "coffee.jpg", "rocket.jpg"].map((name) => join(photos, name)))
  expect(await names()).toEqual(["cat.jpg", "coffee.jpg", "rocket.jpg"])
  expect(await page.getByRole("button", { name: "Add a photo" }).count()).toBe(0)
  await page.getByRole("button", { name: "Move photo 3 one place forward" }).click()
  expect(await names()).toEqual(["cat.jpg", "rocket.jpg", "coffee.jpg"])
  await shoot(page, "three-photos")
  await page.getByRole("button", { name: "Remove photo 1" }).click()
  expect(await names()).toEqual(["rocket.jpg", "coffee.jpg"])
  await page.getByRole("button", { name: "Add a photo" }).waitFor()
})

const oldJob = (i: number): Job => ({
  id: `00000000-0000-4000-8000-${String(i).padStart(12, "0")}`, state: "failed", attempt: 1, recipe: { prompt: `edit number ${i}` }, images: [],
  position: 0, step: 0, steps: 4, percent: 0, notices: [], created_at: new Date(Date.UTC(2026, 0, 1) - i * 60_000).toISOString(), timings: {},
  error: { code: "oom_run", message: "needs 12 GB, 8 GB are free" },
})

test("a history of a thousand jobs draws only what is in sight, and an old job can be opened", async () => {
  const total = 1000
  const size = 50
  const page = await open((state) => state, (cursor) => {
    const from = Number(cursor || 0)
    const jobs = Array.from({ length: size }, (_, i) => oldJob(from + i))
    return { jobs, ...(from + size < total ? { next: String(from + size) } : {}) }
  })
  const rows = byId(page, "history-item")
  await rows.first().waitFor()
  expect(await rows.count()).toBeLessThan(40)
  const wanted = page.getByRole("button", { name: /^edit number 400 / })
  const list = page.getByRole("complementary", { name: "History" }).locator("ul").locator("..")
  await until("the old job is in sight", async () => {
    await list.evaluate((box) => { box.scrollTop = Math.min(box.scrollHeight, 400 * 76) })
    return wanted.isVisible()
  })
  expect(await rows.count()).toBeLessThan(40)
  await wanted.click()
  expect(await byId(page, "error").innerText()).toMatch(/Memory ran out[\s\S]*needs 12 GB[\s\S]*Next:/i)
  await shoot(page, "long-history")
})
