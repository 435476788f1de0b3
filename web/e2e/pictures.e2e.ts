import { readFile } from "node:fs/promises"
import { join } from "node:path"
import type { Browser, Page } from "playwright-core"
import { afterAll, beforeAll, expect, test } from "vitest"
import { byId, openBrowser, seriousViolations, shoot } from "./browser"
import { givenId, givenJob, openGiven } from "./given"
import { png } from "./png"
import { photos, Server, until } from "./server"

// How pictures come into an edit and out of it again.
const size = { width: 300, height: 200 }
let server: Server
let browser: Browser
let page: Page

beforeAll(async () => {
  server = await Server.start({ QIE_PYTHON_ENV: "/nonexistent/python" })
  browser = await openBrowser()
  page = await openGiven(browser, server, {
    job: givenJob(size), before: png(size.width, size.height, (x, y) => [x & 255, y, 0]), after: png(size.width, size.height, (x, y) => [y, x & 255, 255]),
  }, { images: 3, permissions: ["clipboard-read", "clipboard-write"] })
})

afterAll(async () => {
  await browser?.close()
  await server?.stop()
})

const slots = () => page.locator("figure img").evaluateAll((all) => all.map((img) => (img as HTMLImageElement).naturalWidth))

test("a result is copied as a picture, by button and by key, and text that is selected comes first", async () => {
  const read = () => page.evaluate(async () => {
    const [item] = await navigator.clipboard.read()
    if (!item?.types.includes("image/png")) return null
    const bitmap = await createImageBitmap(await item.getType("image/png"))
    return [bitmap.width, bitmap.height]
  })
  await page.getByRole("button", { name: "Copy", exact: true }).click()
  await page.getByText("Copied").waitFor()
  expect(await read()).toEqual([300, 200])
  await page.getByText("Copied").waitFor({ state: "detached" })
  await page.evaluate(() => navigator.clipboard.writeText("nothing"))
  await byId(page, "prompt").fill("some words")
  await byId(page, "prompt").selectText()
  await page.keyboard.press("Control+c")
  await until("the words are copied", () => page.evaluate(async () => (await navigator.clipboard.readText()) === "some words"))
  await byId(page, "prompt").fill("")
  await page.getByRole("slider", { name: "Compare before and after" }).focus()
  await page.keyboard.press("Control+c")
  await page.getByText("Copied").waitFor()
  expect(await read()).toEqual([300, 200])
})

const carried = (selector: string) => page.locator(selector).first().evaluate((element) => {
  const dataTransfer = new DataTransfer()
  element.dispatchEvent(new DragEvent("dragstart", { bubbles: true, dataTransfer }))
  return [dataTransfer.getData("DownloadURL"), dataTransfer.getData("text/uri-list")]
})

test("what is dragged out of the browser is the whole result, with a name", async () => {
  const url = `${server.url}/api/v1/jobs/${givenId}/result?v=bbbbbbbb`
  const want = [`image/png:house-edited-0000.png:${url}`, url]
  expect(await carried('[data-testid="history-item"] img')).toEqual(want)
  expect(await carried('[data-testid="result"] [draggable]')).toEqual(want)
})

test("a picture is dragged from the history: into the page, beside the photos, and onto one of them", async () => {
  const picture = byId(page, "history-item").locator("img")
  await picture.dragTo(byId(page, "pane"))
  await until("it is the photo of the edit", async () => (await slots()).join() === "300")
  await page.getByRole("img", { name: "The photo: house-edited-0000.png" }).waitFor()
  await byId(page, "file-input").setInputFiles(join(photos, "cat.jpg"))
  await until("a second photo", async () => (await slots()).join() === "300,640")
  await picture.dragTo(page.getByRole("button", { name: "Add a photo" }))
  await until("a third photo", async () => (await slots()).join() === "300,640,300")
  await picture.dragTo(page.locator("figure").nth(1))
  await until("the second was replaced", async () => (await slots()).join() === "300,300,300")
})

test("each photo can be looked at and framed; the mask is of the first", async () => {
  const [crop, mask] = [page.getByRole("button", { name: "Crop and turn" }), page.getByRole("button", { name: "Mask", exact: true })]
  await page.locator("figure button").first().click()
  expect([await crop.isEnabled(), await mask.isEnabled()]).toEqual([true, true])
  await page.getByRole("button", { name: "Photo 3", exact: true }).click()
  await page.getByRole("img", { name: "The photo: house-edited-0000.png" }).waitFor()
  expect([await crop.isEnabled(), await mask.isEnabled()]).toEqual([true, false])
  await crop.click()
  await byId(page, "frame").waitFor()
  await page.locator("body").press("l")
  await page.locator("body").press("Enter")
  await byId(page, "frame").waitFor({ state: "detached" })
  expect(await slots()).toEqual([300, 300, 200])
  await crop.click()
  await byId(page, "frame").waitFor()
  await page.getByRole("button", { name: "Photo 1", exact: true }).click() // another picture is looked at: the editor is over
  await byId(page, "frame").waitFor({ state: "detached" })
})

test("the name of a photo is written where the cursor is", async () => {
  await byId(page, "prompt").fill("put  next to the cat")
  await byId(page, "prompt").evaluate((field) => (field as HTMLTextAreaElement).setSelectionRange(4, 4))
  await page.getByRole("button", { name: "Write “image 2” into the sentence" }).click()
  expect(await byId(page, "prompt").inputValue()).toBe("put image 2 next to the cat")
  await page.keyboard.type("!")
  expect(await byId(page, "prompt").inputValue()).toBe("put image 2! next to the cat")
  expect(await seriousViolations(page)).toEqual([])
  await shoot(page, "three-slots")
})

test("photos that are dropped onto a photo take its place, and the sentence stays", async () => {
  const cat = [...(await readFile(join(photos, "cat.jpg")))]
  await page.locator("figure").first().evaluate((figure, data) => {
    const dataTransfer = new DataTransfer()
    dataTransfer.items.add(new File([new Uint8Array(data)], "cat.jpg", { type: "image/jpeg" }))
    figure.dispatchEvent(new DragEvent("drop", { bubbles: true, cancelable: true, dataTransfer }))
  }, cat)
  await until("the first was replaced", async () => (await slots()).join() === "640,300,200")
  expect(await byId(page, "prompt").inputValue()).toBe("put image 2! next to the cat")
})
