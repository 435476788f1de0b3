import { join } from "node:path"
import type { Browser, Page } from "playwright-core"
import { afterAll, beforeAll, expect, test } from "vitest"
import { byId, newPage, openBrowser, seriousViolations, shoot } from "./browser"
import { pixels, type Raster } from "./png"
import { photos, Server } from "./server"

// What may change is drawn by pointer and keys; what comes back is compared pixel by pixel.
let server: Server
let browser: Browser

beforeAll(async () => {
  server = await Server.start()
  browser = await openBrowser()
})

afterAll(async () => {
  await browser?.close()
  await server?.stop()
})

const size = { width: 640, height: 427 }

async function open(): Promise<Awaited<ReturnType<typeof newPage>>> {
  const watched = await newPage(browser, server.url)
  await watched.page.locator('[data-testid="connection"][data-status="live"]').waitFor()
  await byId(watched.page, "file-input").setInputFiles(join(photos, "coffee.jpg"))
  return watched
}

/** drag moves the pressed pointer through points of the photo, in its pixels. */
async function drag(page: Page, points: readonly (readonly [number, number])[]): Promise<void> {
  const [left, top, k] = await byId(page, "pane").evaluate((pane) => {
    const box = pane.getBoundingClientRect()
    const of = (name: string) => parseFloat(pane.style.getPropertyValue(name))
    return [box.x + of("--x"), box.y + of("--y"), of("--k")] as const
  })
  for (const [i, [x, y]] of points.entries()) {
    await page.mouse.move(left + x * k, top + y * k, { steps: i === 0 ? 1 : 5 })
    if (i === 0) await page.mouse.down()
  }
  await page.mouse.up()
}

const picture = async (path: string): Promise<Raster> => pixels(Buffer.from(await (await fetch(server.url + path)).arrayBuffer()))

async function ran(page: Page, prompt: string): Promise<string> {
  await byId(page, "prompt").fill(prompt)
  const answer = page.waitForResponse((r) => r.url().endsWith("/api/v1/jobs") && r.request().method() === "POST")
  await page.keyboard.press("Control+Enter")
  const { id } = (await (await answer).json()) as { id: string }
  await byId(page, "result").waitFor({ timeout: 90_000 })
  return id
}

const sumOf = (page: Page) => byId(page, "mask").evaluate((canvas) => {
  const { width, height } = canvas as HTMLCanvasElement
  const data = (canvas as HTMLCanvasElement).getContext("2d")?.getImageData(0, 0, width, height).data ?? []
  let sum = 0
  for (let i = 3; i < data.length; i += 4) sum += data[i] ?? 0
  return Math.round(sum / 255)
})

test("a brush and a rectangle are drawn, and the rest of the photo stays bit for bit", async () => {
  const { page, errors, foreign } = await open()
  await page.locator("body").press("b")
  await byId(page, "mask").waitFor()
  await page.getByRole("slider", { name: "Size of the brush" }).fill("60")
  await drag(page, [[150, 120], [300, 200]])
  const stroke = await sumOf(page)
  expect(stroke).toBeGreaterThan(150 * 60)
  await page.keyboard.press("r")
  await drag(page, [[500, 300], [420, 380]])
  expect(await sumOf(page)).toBe(stroke + 80 * 80)
  await page.keyboard.press("Control+z")
  expect(await sumOf(page)).toBe(stroke)
  await page.keyboard.press("Control+Shift+z")
  expect(await sumOf(page)).toBe(stroke + 80 * 80)
  await page.keyboard.press("i")
  expect(await sumOf(page)).toBe(640 * 427 - stroke - 80 * 80)
  await page.keyboard.press("i")
  expect(await seriousViolations(page)).toEqual([])
  await shoot(page, "mask-drawn")
  const id = await ran(page, "invert the colors") // the edit takes what is drawn, also without Use mask
  const [mask, source, result] = [await picture(`/api/v1/jobs/${id}/mask`), await picture(`/api/v1/jobs/${id}/images/1`), await picture(`/api/v1/jobs/${id}/result`)]
  expect([mask.width, mask.height, mask.channels]).toEqual([size.width, size.height, 1])
  let [outside, inside, different, changed, misplaced] = [0, 0, 0, 0, 0]
  for (let y = 0; y < size.height; y++) {
    for (let x = 0; x < size.width; x++) {
      const at = y * size.width + x
      const equal = source.data.compare(result.data, at * 3, at * 3 + 3, at * 3, at * 3 + 3) === 0
      const along = Math.min(1, Math.max(0, ((x + 0.5 - 150) * 150 + (y + 0.5 - 120) * 80) / (150 ** 2 + 80 ** 2)))
      const off = Math.hypot(x + 0.5 - 150 - along * 150, y + 0.5 - 120 - along * 80) - 30
      const box = Math.max(420 - x - 0.5, x + 0.5 - 500, 300 - y - 0.5, y + 0.5 - 380)
      const far = Math.min(off, box)
      if ((far > 2 && mask.data[at] !== 0) || (far < -2 && mask.data[at] !== 255)) misplaced++
      if (mask.data[at] === 0) {
        outside++
        if (!equal) different++
      } else {
        inside++
        if (!equal) changed++
      }
    }
  }
  expect([different, misplaced]).toEqual([0, 0])
  expect(outside).toBeGreaterThan(200_000)
  expect(changed / inside).toBeGreaterThan(0.9)
  const { result: told } = await server.job(id)
  expect(await byId(page, "result").innerText()).toContain(`${Math.floor((told?.untouched ?? 0) * 1000) / 10} % of the pixels are the photo's, bit for bit`)
  await page.getByRole("button", { name: "Show mask" }).click()
  await byId(page, "mask-shade").waitFor()
  await shoot(page, "mask-result")
  expect(errors).toEqual([])
  expect(foreign).toEqual([])
  await page.context().close()
})

test("the mask comes back with its job, can be drawn on, softened and sent again", async () => {
  const { page } = await open()
  await page.locator('[data-testid="history-item"][data-state="succeeded"] [data-row]').first().click()
  await page.getByRole("button", { name: "Use again" }).click()
  await byId(page, "mask-shade").waitFor()
  await page.getByRole("button", { name: "Mask", exact: true }).click()
  await byId(page, "mask").waitFor()
  const before = await sumOf(page)
  expect(before).toBeGreaterThan(10_000)
  const brush = page.getByRole("slider", { name: "Size of the brush" })
  const wide = Number(await brush.inputValue())
  await page.locator("body").press("]")
  expect(Number(await brush.inputValue())).toBeGreaterThan(wide)
  await page.locator("body").press("[")
  await page.locator("body").press("l")
  await drag(page, [[20, 20], [120, 20], [120, 90], [20, 90]])
  expect(await sumOf(page)).toBeGreaterThan(before + 6000)
  await page.locator("body").press("x")
  await drag(page, [[40, 40], [60, 40]])
  expect(await sumOf(page)).toBeLessThan(before + 100 * 70)
  await page.getByRole("slider", { name: "Soft edge" }).fill("12")
  await shoot(page, "mask-reopened")
  await page.locator("body").press("Enter")
  await byId(page, "mask").waitFor({ state: "detached" })
  const id = await ran(page, "make it sepia")
  const [mask, source, result] = [await picture(`/api/v1/jobs/${id}/mask`), await picture(`/api/v1/jobs/${id}/images/1`), await picture(`/api/v1/jobs/${id}/result`)]
  const greys = new Set(mask.data)
  expect(greys.size).toBeGreaterThan(20) // soft edges
  for (let at = 0; at < mask.data.length; at++) {
    if (mask.data[at] === 0 && source.data.compare(result.data, at * 3, at * 3 + 3, at * 3, at * 3 + 3) !== 0) throw new Error(`pixel ${at} changed outside of the mask`)
  }
  await page.context().close()
})

test("nothing drawn is no mask, Escape leaves, and a finger draws", async () => {
  const context = await browser.newContext({ viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true })
  const page = await context.newPage()
  await page.goto(server.url)
  await byId(page, "file-input").setInputFiles(join(photos, "coffee.jpg"))
  await page.getByRole("button", { name: "Mask", exact: true }).click()
  await byId(page, "mask").waitFor()
  await byId(page, "mask-done").click()
  await byId(page, "mask").waitFor({ state: "detached" })
  expect(await byId(page, "mask-shade").count()).toBe(0)
  await page.getByRole("button", { name: "Mask", exact: true }).click()
  await byId(page, "mask").waitFor()
  const box = await byId(page, "pane").boundingBox()
  if (!box) throw new Error("no pane")
  await page.touchscreen.tap(box.x + box.width / 2, box.y + box.height / 2)
  expect(await sumOf(page)).toBeGreaterThan(200)
  expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBeLessThanOrEqual(390)
  await shoot(page, "mask-phone")
  await page.locator("body").press("Escape")
  await byId(page, "mask").waitFor({ state: "detached" })
  expect(await byId(page, "mask-shade").count()).toBe(0)
  await context.close()
})
