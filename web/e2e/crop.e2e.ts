import type { Browser, Page } from "playwright-core"
import { afterAll, beforeAll, expect, test } from "vitest"
import { byId, newPage, openBrowser, seriousViolations, shoot } from "./browser"
import { pixels, png, type Raster } from "./png"
import { Server, until } from "./server"

// A photo is turned, cropped and extended before its edit. What is sent is caught, so no worker is needed.
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

/** Every pixel says where it was. */
const size = { width: 240, height: 160 }
const photo = png(size.width, size.height, (x, y) => [x, y, 77])

async function open(): Promise<Page> {
  const { page } = await newPage(browser, server.url)
  await page.locator('[data-testid="connection"][data-status="live"]').waitFor()
  await until("all that is missing is said", async () => (await byId(page, "not-ready").innerText()).includes("Next:")) // it moves what is below
  await byId(page, "file-input").setInputFiles({ name: "map.png", mimeType: "image/png", buffer: photo })
  await page.getByRole("button", { name: "Crop and turn" }).click()
  await byId(page, "frame").waitFor()
  return page
}

/** sent gives the source and the mask that the server kept of the edit. */
async function sent(page: Page): Promise<{ source: Raster; mask: Raster | null }> {
  await byId(page, "prompt").fill("make it sepia")
  const answer = page.waitForResponse((r) => r.url().endsWith("/api/v1/jobs") && r.request().method() === "POST")
  await page.keyboard.press("Control+Enter")
  const { id } = (await (await answer).json()) as { id: string }
  const read = async (path: string) => {
    const response = await fetch(`${server.url}/api/v1/jobs/${id}/${path}`)
    return response.ok ? pixels(Buffer.from(await response.arrayBuffer())) : null
  }
  const source = await read("images/1")
  if (!source) throw new Error("no source")
  return { source, mask: await read("mask") }
}

const at = ({ data, width, channels }: Raster, x: number, y: number) => [...data.subarray((y * width + x) * channels, (y * width + x) * channels + channels)]

async function pull(page: Page, name: string, dx: number, dy: number): Promise<void> {
  const grip = await page.getByRole("button", { name, exact: true }).boundingBox()
  const k = await byId(page, "pane").evaluate((pane) => Number(pane.style.getPropertyValue("--k")))
  if (!grip) throw new Error(`no ${name}`)
  const [x, y] = [grip.x + grip.width / 2, grip.y + grip.height / 2]
  await page.mouse.move(x, y)
  await page.mouse.down()
  await page.mouse.move(x + dx * k, y + dy * k, { steps: 4 })
  await page.mouse.up()
}

test("a photo is cropped by pointer and keys, exactly, and the whole photo comes back", async () => {
  const page = await open()
  await pull(page, "Upper left corner", 40, 30)
  await page.getByRole("button", { name: "Right edge", exact: true }).focus()
  for (let i = 0; i < 2; i++) await page.keyboard.press("Shift+ArrowLeft")
  await page.keyboard.press("ArrowRight")
  await byId(page, "frame").focus()
  await page.keyboard.press("ArrowDown") // it is at the lower edge already
  await page.keyboard.press("ArrowUp")
  expect(await byId(page, "frame").getAttribute("aria-label")).toBe("Frame of 181 by 130 pixels at 40, 29")
  expect(await seriousViolations(page)).toEqual([])
  await shoot(page, "crop")
  await byId(page, "crop-done").click()
  await byId(page, "frame").waitFor({ state: "detached" })
  const { source, mask } = await sent(page)
  expect([source.width, source.height, mask]).toEqual([181, 130, null])
  expect([at(source, 0, 0), at(source, 180, 129)]).toEqual([[40, 29, 77], [220, 158, 77]])
  await page.locator("figure button").first().click()
  await page.locator("body").press("c")
  await byId(page, "frame").waitFor()
  expect(await byId(page, "frame").getAttribute("aria-label")).toBe("Frame of 181 by 130 pixels at 40, 29")
  await page.getByRole("button", { name: "Whole photo" }).click()
  await byId(page, "crop-done").click()
  await byId(page, "frame").waitFor({ state: "detached" })
  expect((await sent(page)).source.data.equals(pixels(photo).data)).toBe(true)
  await page.context().close()
})

test("a photo is turned and mirrored, exactly", async () => {
  const page = await open()
  await page.locator("body").press("r")
  await page.locator("body").press("m")
  await page.locator("body").press("Enter")
  await byId(page, "frame").waitFor({ state: "detached" })
  const { source } = await sent(page)
  expect([source.width, source.height]).toEqual([160, 240])
  // A quarter clockwise puts (x, y) to (159 - y, x); the mirror then to (y, x).
  expect([at(source, 0, 0), at(source, 159, 0), at(source, 10, 200)]).toEqual([[0, 0, 77], [0, 159, 77], [200, 10, 77]])
  await page.context().close()
})

test("a photo is extended: what is new is white and may change, the photo itself may not", async () => {
  const page = await open()
  await page.getByLabel("Shape").selectOption("16:9")
  await page.getByLabel("Extend beyond the photo").check()
  expect(await byId(page, "frame-size").innerText()).toBe("284 × 160 px")
  await shoot(page, "extend")
  await byId(page, "crop-done").click()
  await byId(page, "mask-shade").waitFor()
  const { source, mask } = await sent(page)
  expect([source.width, source.height, mask?.width, mask?.height]).toEqual([284, 160, 284, 160])
  expect([at(source, 3, 80), at(source, 280, 80), at(source, 22, 80)]).toEqual([[255, 255, 255], [255, 255, 255], [0, 80, 77]])
  if (!mask) throw new Error("no mask")
  expect([at(mask, 3, 80), at(mask, 21, 80), at(mask, 262, 80), at(mask, 283, 0)]).toEqual([[255], [255], [255], [255]])
  expect([at(mask, 40, 0), at(mask, 142, 80), at(mask, 142, 159), at(mask, 245, 100)]).toEqual([[0], [0], [0], [0]])
  await page.context().close()
})
