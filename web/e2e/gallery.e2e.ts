import { randomUUID } from "node:crypto"
import { join } from "node:path"
import { DatabaseSync } from "node:sqlite"
import type { Browser, Page } from "playwright-core"
import { afterAll, afterEach, beforeAll, expect, test } from "vitest"
import { byId, newPage, openBrowser, shoot, violations, type Watched } from "./browser"
import { photos, Server, until } from "./server"

/** One less than what is kept by default, so that nothing is removed for an edit of the tests. */
const many = 9_990
const rowsMax = 60

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
  await watched.page.locator('[data-testid="connection"][data-status="live"]').waitFor()
  return watched.page
}

test("the line is paused, put into another order, and goes on; what shall run next stands in front", async () => {
  await server.ready()
  const page = await open()
  await fetch(`${server.url}/api/v1/queue/pause`, { method: "POST" })
  await byId(page, "queue-line").getByText("Paused").waitFor()
  await byId(page, "file-input").setInputFiles(join(photos, "coffee.jpg"))
  const line = () => byId(page, "queue-item").locator("button span").allInnerTexts()
  const lineIs = (...want: string[]) => until(`the line is ${want.join()}`, async () => (await line()).join() === want.join())
  for (const prompt of ["make it sepia", "blur it", "make it darker"]) {
    await byId(page, "prompt").fill(prompt)
    await page.keyboard.press("Control+Enter")
    await byId(page, "queue-item").filter({ hasText: prompt }).waitFor()
  }
  await lineIs("make it sepia", "blur it", "make it darker")
  await page.getByRole("button", { name: "Run “make it darker” next" }).click()
  await lineIs("make it darker", "make it sepia", "blur it")
  await page.getByRole("button", { name: "Move “make it sepia” one place down" }).click()
  await lineIs("make it darker", "blur it", "make it sepia")
  await byId(page, "prompt").fill("make it cooler")
  await page.keyboard.press("Control+Shift+Enter")
  await lineIs("make it cooler", "make it darker", "blur it", "make it sepia")
  expect(await violations(page)).toEqual([])
  await shoot(page, "queue")
  await page.reload()
  await lineIs("make it cooler", "make it darker", "blur it", "make it sepia")
  for (const prompt of ["make it darker", "blur it", "make it sepia"]) {
    await page.getByRole("button", { name: `Take “${prompt}” out of the line` }).click()
    await byId(page, "queue-item").filter({ hasText: prompt }).waitFor({ state: "detached" })
  }
  await byId(page, "resume").click()
  await page.locator('[data-testid="history-item"][data-state="succeeded"]', { hasText: "make it cooler" }).waitFor({ timeout: 90_000 })
  expect(watched?.errors).toEqual([])
})

test("while nobody looks, the tab tells how far it is, and that it is done", async () => {
  const page = await open()
  await page.evaluate(() => Object.defineProperty(document, "hidden", { get: () => true }))
  await byId(page, "file-input").setInputFiles(join(photos, "coffee.jpg"))
  await byId(page, "prompt").fill("make it warmer")
  const title = page.waitForFunction(() => /^\d+ % .*– qie$/.test(document.title) && document.querySelector<HTMLLinkElement>("link[rel=icon]")?.href.startsWith("data:image/svg"))
  await byId(page, "run").click()
  await title
  await page.waitForFunction(() => document.title === "The edit is done. – qie", null, { timeout: 90_000 })
  expect(await page.locator("link[rel=icon]").getAttribute("href")).toBe("/icon.svg")
  await page.keyboard.press("Alt+ArrowUp") // sentences from before
  expect(await byId(page, "prompt").inputValue()).toBe("make it cooler")
  await page.getByRole("button", { name: "Sentences from before" }).click()
  await byId(page, "prompt-history").getByRole("button", { name: "make it warmer" }).click()
  expect(await byId(page, "prompt").inputValue()).toBe("make it warmer")
  expect(await byId(page, "presets").innerText()).toMatch(/Standard · (about )?\d+ (s|min)/) // measured here by now
  await page.getByRole("button", { name: "Settings", exact: true }).click()
  await page.getByRole("button", { name: "Lock the seed" }).click()
  const seed = (await server.state()).jobs.find((j) => j.recipe.prompt === "make it warmer")?.result?.seed
  expect(await page.getByLabel("Seed", { exact: true }).inputValue()).toBe(String(seed))
  await page.getByLabel("Negative prompt", { exact: true }).fill("text")
  await page.getByLabel("Guidance (true CFG)").fill("1")
  await byId(page, "negative-idle").getByRole("button", { name: /^Set guidance to/ }).click()
  await byId(page, "negative-idle").waitFor({ state: "detached" })
  expect(watched?.errors).toEqual([])
})

test("ten thousand edits scroll with few rows, and two characters find theirs", async () => {
  await server.killAndRestart(async () => fill(join(server.home, "qie.db")))
  const page = await open()
  const rows = () => byId(page, "gallery").locator("li").count()
  await byId(page, "history-item").first().waitFor()
  let most = 0
  let pages = 0
  page.on("response", (r) => { if (r.url().includes("/api/v1/jobs?")) pages++ })
  await until("the oldest edit is reached", async () => {
    await byId(page, "gallery").evaluate((box) => { box.scrollTop = box.scrollHeight })
    most = Math.max(most, await rows())
    return (await byId(page, "history-item").filter({ hasText: "number 0 " }).count()) > 0
  })
  expect(pages).toBeGreaterThanOrEqual(Math.floor(many / 200)) // the first came before it was listened for
  // Up again in strides, with the rows counted at each frame.
  most = Math.max(most, await byId(page, "gallery").evaluate(async (box) => {
    let count = 0
    for (let at = box.scrollHeight; at > 0; at -= box.scrollHeight / 100) {
      box.scrollTop = at
      await new Promise(requestAnimationFrame)
      count = Math.max(count, box.querySelectorAll("li").length)
    }
    return count
  }))
  expect(most).toBeGreaterThan(5)
  expect(most).toBeLessThanOrEqual(rowsMax)
  const days = await byId(page, "gallery-day").allInnerTexts()
  expect(days.length).toBeGreaterThan(0)
  await shoot(page, "ten-thousand")

  const search = page.getByRole("searchbox", { name: "Search prompts" })
  for (const [words, found] of [["雪景", "给照片加上雪景"], ["HAT red", "add a red hat"]] as const) {
    await search.fill(words)
    await until(`${words} is found`, async () => {
      const texts = await byId(page, "history-item").allInnerTexts()
      return texts.length > 0 && texts.every((text) => text.includes(found))
    })
  }
  await search.fill("雪景 hat")
  await page.getByText("No edit has these words.").waitFor()
})

/** fill writes edits into the database as if they had been made over months; their pictures are long gone. */
function fill(path: string): void {
  const db = new DatabaseSync(path)
  const insert = db.prepare("INSERT INTO jobs (id, ord, state, prompt, body, seed, created_ms, ended_ms, num, photo) VALUES (?, ?, 'failed', ?, ?, 1, ?, ?, ?, ?)")
  const start = Date.UTC(2026, 0, 1)
  db.exec("BEGIN")
  db.exec(`UPDATE jobs SET num = num + ${many}`)
  for (let n = 0; n < many; n++) {
    const id = randomUUID()
    const prompt = `${n % 2 ? "给照片加上雪景" : "add a red hat"} number ${n} `
    const at = start + n * 1_800_000
    const created = new Date(at).toISOString()
    const body = { id, state: "failed", attempt: 1, recipe: { prompt }, images: [], step: 0, steps: 4, percent: 0, notices: [], created_at: created, finished_at: created, timings: {}, error: { code: "canceled", message: "x" } }
    insert.run(id, n, prompt, JSON.stringify(body), at, at, n + 1, "p")
  }
  db.exec("COMMIT")
  db.close()
}
