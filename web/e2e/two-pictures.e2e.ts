import { cp, mkdtemp, readFile, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join, resolve } from "node:path"
import type { Browser } from "playwright-core"
import { afterAll, beforeAll, expect, test } from "vitest"
import { byId, newPage, openBrowser, seriousViolations, shoot } from "./browser"
import { photos, Server } from "./server"

// The demo's weights as a model of three pictures: what is looked at here is sizes and the way, not the picture.
let folder: string
let server: Server
let browser: Browser

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "qie-model-"))
  await cp(resolve(import.meta.dirname, "../../pyruntime/demo/model"), folder, { recursive: true })
  await change("model_index.json", { _class_name: "QwenImageEditPlusPipeline" })
  const edit = { label: "blend", prompt: "blend with image 2", group: "two pictures", images: 2 }
  await change("qie.json", { class: "QwenImageEditPlusPipeline", max_images: 3, reference_fit: "cover", known_edits: [edit] })
  server = await Server.start({ QIE_MODEL: folder })
  browser = await openBrowser()
})

afterAll(async () => {
  await browser?.close()
  await server?.stop()
  await rm(folder, { recursive: true, force: true })
})

async function change(name: string, fields: object): Promise<void> {
  const path = join(folder, name)
  await writeFile(path, JSON.stringify({ ...(JSON.parse(await readFile(path, "utf8")) as object), ...fields }))
}

/** A BMP of one colour per column: three bytes a pixel, rows filled up to four bytes. */
function bitmap(width: number, height: number): Buffer {
  const row = Math.ceil((width * 3) / 4) * 4
  const file = Buffer.alloc(54 + row * height)
  file.write("BM")
  file.writeUInt32LE(file.length, 2)
  for (const [at, value] of [[10, 54], [14, 40], [18, width], [22, height]] as const) file.writeUInt32LE(value, at)
  file.writeUInt16LE(1, 26)
  file.writeUInt16LE(24, 28)
  for (let y = 0; y < height; y++) for (let x = 0; x < width * 3; x++) file[54 + y * row + x] = (x * 5) % 256
  return file
}

test("two photos become one, in the shape of the first", async () => {
  const { page, errors, foreign } = await newPage(browser, server.url)
  await byId(page, "file-input").setInputFiles(join(photos, "coffee.jpg"))
  const asked = page.waitForEvent("filechooser")
  await page.getByRole("button", { name: "blend · 2 photos" }).click()
  await (await asked).setFiles({ name: "narrow.bmp", mimeType: "image/bmp", buffer: bitmap(120, 300) })
  await page.locator("figure button[title='narrow.bmp']").waitFor()
  expect(await byId(page, "missing-picture").count()).toBe(0)
  await byId(page, "run").click()
  await byId(page, "result").waitFor({ timeout: 90_000 })
  expect(await byId(page, "result").innerText()).toContain("640 × 427 px")
  const [job] = (await server.state()).jobs
  expect(job?.images.map(({ width, height }) => [width, height])).toEqual([[640, 427], [120, 300]])
  expect([job?.result?.width, job?.result?.height]).toEqual([640, 427])
  await page.getByText("Image 2 was cropped from its middle to the shape of image 1").waitFor()
  expect(await seriousViolations(page)).toEqual([])
  await shoot(page, "two-pictures-result")
  await page.setViewportSize({ width: 390, height: 844 })
  expect(await page.evaluate(() => document.documentElement.scrollWidth - innerWidth)).toBe(0)
  await shoot(page, "two-pictures-result-phone")
  expect(errors).toEqual([])
  expect(foreign).toEqual([])
})
