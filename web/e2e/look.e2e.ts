import { join } from "node:path"
import type { Browser, Page } from "playwright-core"
import { afterAll, afterEach, beforeAll, expect, test } from "vitest"
import { byId, newPage, openBrowser, shoot, violations, type Watched } from "./browser"
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
  await watched?.page.context().close()
  watched = null
})

async function open(options: Parameters<typeof newPage>[2] = {}): Promise<Page> {
  watched = await newPage(browser, server.url, options)
  await watched.page.locator('[data-testid="connection"][data-status="live"]').waitFor()
  return watched.page
}

/** Seven states that a person meets, each reached from the one before. */
const states: readonly (readonly [string, (page: Page) => Promise<void>])[] = [
  ["empty", async (page) => { await byId(page, "prompt").waitFor() }],
  ["photo", async (page) => {
    await byId(page, "file-input").setInputFiles(join(photos, "coffee.jpg"))
    await page.locator("section[data-testid=drop] img").first().waitFor()
  }],
  ["settings", async (page) => { await page.locator("body").press(","); await page.locator("#settings").waitFor() }],
  ["result", async (page) => {
    await byId(page, "history-item").first().locator("[data-row]").click()
    await byId(page, "result").waitFor()
  }],
  ["tree", async (page) => { await page.locator("body").press("g"); await byId(page, "tree-node").first().waitFor() }],
  ["system", async (page) => {
    await page.locator("body").press("i")
    await page.getByRole("dialog").getByText(server.home, { exact: true }).first().waitFor()
  }],
  ["help", async (page) => { await page.keyboard.press("Escape"); await page.getByRole("dialog").waitFor({ state: "detached" }); await page.locator("body").press("?"); await page.getByRole("dialog").waitFor() }],
]

test("an edit is there to look at", async () => {
  const page = await open()
  await byId(page, "file-input").setInputFiles(join(photos, "coffee.jpg"))
  await byId(page, "prompt").fill("make it sepia")
  await byId(page, "run").click()
  await byId(page, "result").waitFor({ timeout: 120_000 })
  expect(watched?.errors).toEqual([])
})

for (const locale of ["en-GB", "zh-CN"] as const) {
  for (const colorScheme of ["light", "dark"] as const) {
    test(`nothing inaccessible in seven states, ${locale}, ${colorScheme}, and nothing wider than a phone`, async () => {
      const page = await open({ locale, colorScheme })
      expect(await page.locator("html").getAttribute("lang")).toBe(locale === "zh-CN" ? "zh-Hans" : "en")
      const found: string[] = []
      for (const [name, reach] of states) {
        await reach(page)
        found.push(...(await violations(page)).map((v) => `${name}: ${v}`))
        await shoot(page, `look-${name}-${locale.slice(0, 2)}-${colorScheme}`)
      }
      expect(found).toEqual([])
      await page.keyboard.press("Escape")
      await page.setViewportSize({ width: 390, height: 844 })
      expect(await page.evaluate(() => document.documentElement.scrollWidth - innerWidth)).toBe(0)
      expect(await violations(page)).toEqual([])
      await shoot(page, `look-phone-${locale.slice(0, 2)}-${colorScheme}`)
      expect(watched?.errors).toEqual([])
      expect(watched?.foreign).toEqual([])
    })
  }
}

test("the language changes at once and stays; what was written stays too", async () => {
  const page = await open({ locale: "en-GB" })
  await byId(page, "prompt").fill("加上雪景")
  await byId(page, "language").click()
  await page.getByRole("button", { name: "编辑", exact: true }).waitFor()
  expect(await byId(page, "prompt").inputValue()).toBe("加上雪景")
  await page.reload()
  await page.getByRole("button", { name: "编辑", exact: true }).waitFor()
  await byId(page, "language").click()
  await page.getByRole("button", { name: "Edit", exact: true }).waitFor()
})

test("more contrast and less motion where the system asks for them", async () => {
  const page = await open({ contrast: "more", reducedMotion: "reduce" })
  expect(await violations(page)).toEqual([])
  const line = await page.locator("#prompt").evaluate((box) => getComputedStyle(box).borderTopColor)
  await page.emulateMedia({ contrast: "no-preference" })
  expect(await page.locator("#prompt").evaluate((box) => getComputedStyle(box).borderTopColor)).not.toBe(line)
  expect(await page.locator("#prompt").evaluate((box) => getComputedStyle(box).transitionDuration)).toBe("0s")
})

test("it can be installed, and its shell opens while qie is away; nothing of the API is kept", async () => {
  const page = await open()
  const manifest = (await (await page.request.get(`${server.url}/manifest.webmanifest`)).json()) as { display: string; icons: { src: string; sizes: string }[] }
  expect(manifest.display).toBe("standalone")
  for (const size of ["192x192", "512x512"]) {
    const icon = manifest.icons.find((i) => i.sizes === size)
    const answer = await page.request.get(`${server.url}${icon?.src}`)
    expect([answer.status(), answer.headers()["content-type"]]).toEqual([200, "image/png"])
  }
  await page.evaluate(async () => { await navigator.serviceWorker.ready })
  await until("the shell is kept", () => page.evaluate(async () => (await caches.match("/")) !== undefined))
  await page.reload()
  await byId(page, "history-item").first().waitFor()
  const kept = await page.evaluate(async () => {
    const names = await caches.keys()
    const all = await Promise.all(names.map(async (name) => (await (await caches.open(name)).keys()).map((r) => new URL(r.url).pathname)))
    return all.flat()
  })
  expect(kept.filter((path) => path.startsWith("/api") || path.startsWith("/metrics"))).toEqual([])
  expect(kept).toContain("/")
  await server.killAndRestart(async () => {
    await page.reload()
    await byId(page, "offline").waitFor()
    expect(await byId(page, "offline").innerText()).toContain("No connection")
    await shoot(page, "offline")
  })
  await page.locator('[data-testid="connection"][data-status="live"]').waitFor()
  await byId(page, "history-item").first().waitFor()
})
