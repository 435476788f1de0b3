import { join } from "node:path"
import type { Browser, Page } from "playwright-core"
import { afterAll, beforeAll, expect, test } from "vitest"
import { byId, newPage, openBrowser, seriousViolations, shoot } from "./browser"
import { photos, Server } from "./server"

// What a person meets first. The server has no worker, which is how the first minutes of a fresh machine look.
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

const drawn = (page: Page) =>
  byId(page, "compare").locator("img").evaluateAll((all) => all.map((img) => (img as HTMLImageElement).naturalWidth))

for (const colorScheme of ["light", "dark"] as const) {
  test(`the first screen shows a real before and after in ${colorScheme}`, async () => {
    const { page, errors, foreign } = await newPage(browser, server.url, { colorScheme })
    await page.getByText("Drop a photo here").waitFor()
    await page.locator('[data-testid="not-ready"]').waitFor()
    const slider = page.getByRole("slider", { name: "Compare before and after" })
    await slider.focus()
    await page.keyboard.press("End")
    expect(await slider.getAttribute("aria-valuenow")).toBe("100")
    await page.keyboard.press("Home")
    for (let i = 0; i < 5; i++) await page.keyboard.press("PageUp")
    expect(await slider.getAttribute("aria-valuetext")).toBe("50 % of the original shown")
    expect(await drawn(page)).toEqual([640, 640])
    const before = await byId(page, "compare").boundingBox()
    for (const name of ["Show the sample: a cup of coffee with a spoon", "Show the sample: a rocket at its launch"]) {
      await page.getByRole("button", { name }).click()
      expect(await byId(page, "compare").boundingBox()).toEqual(before)
    }
    await page.getByRole("button", { name: "Show the sample: a cat's face" }).click()
    expect(await seriousViolations(page)).toEqual([])
    await shoot(page, `welcome-${colorScheme}`)
    for (const [name, width, height] of [["phone", 390, 844], ["low", 1100, 560]] as const) {
      await page.setViewportSize({ width, height })
      expect(await page.evaluate(() => document.documentElement.scrollWidth - innerWidth)).toBe(0)
      expect(await seriousViolations(page)).toEqual([])
      await shoot(page, `welcome-${name}-${colorScheme}`)
    }
    expect(errors).toEqual([])
    expect(foreign).toEqual([])
  })
}

test("a sample is taken with its sentence, and an own photo takes its place", async () => {
  const { page } = await newPage(browser, server.url)
  await page.getByRole("button", { name: "Show the sample: a rocket at its launch" }).click()
  await page.getByRole("button", { name: "Try it with this photo" }).click()
  await page.getByRole("img", { name: "The photo: rocket.jpg" }).waitFor()
  expect(await byId(page, "prompt").inputValue()).toBe("invert the colors")
  expect(await byId(page, "prompt").evaluate((box) => box === document.activeElement)).toBe(true)
  expect(await byId(page, "run").isEnabled()).toBe(true)
  await page.evaluate(() => {
    const transfer = new DataTransfer()
    transfer.items.add(new File([new Uint8Array(9)], "own.jpg", { type: "image/jpeg" }))
    document.body.dispatchEvent(new DragEvent("drop", { bubbles: true, cancelable: true, dataTransfer: transfer }))
  })
  await page.locator("figure button[title='own.jpg']").waitFor()
  expect(await page.locator("figure").count()).toBe(1)
  expect(await byId(page, "prompt").inputValue()).toBe("invert the colors")
})

const words = ["colour", "light", "shape", "detail", "draw"]
const edits = [
  ...Array.from({ length: 54 }, (_, i) => ({ label: `edit ${i + 1}`, prompt: `make edit ${i + 1}`, group: words[i % words.length] })),
  ...["blend", "lower right corner", "left half"].map((label) => ({ label, prompt: `${label} with image 2`, group: "two pictures", images: 2 })),
]

/** A page of a model with many edits and three slots. */
async function openLarge(options: { slots?: number } & Parameters<typeof newPage>[2] = {}): Promise<Page> {
  const { slots = 3, ...rest } = options
  const context = await browser.newContext({ viewport: { width: 1360, height: 860 }, ...rest })
  const page = await context.newPage()
  await page.route("**/api/v1/state", async (route) => {
    const state = (await (await route.fetch()).json()) as { model: object }
    await route.fulfill({ json: { ...state, model: { ...state.model, max_images: slots, known_edits: edits } } })
  })
  await page.goto(server.url)
  await byId(page, "known-edits").waitFor()
  return page
}

test("sixty known edits are a row of ten, and groups on demand", async () => {
  for (const colorScheme of ["light", "dark"] as const) {
    const page = await openLarge({ colorScheme })
    const chips = byId(page, "known-edits").locator("li button[aria-pressed]")
    expect(await chips.count()).toBe(10)
    await shoot(page, `edits-row-${colorScheme}`)
    await page.getByRole("button", { name: "47 more" }).click()
    expect(await chips.count()).toBe(57)
    expect(await page.getByRole("list", { name: "Two photos" }).locator("li").count()).toBe(3)
    expect(await seriousViolations(page)).toEqual([])
    await shoot(page, `edits-groups-${colorScheme}`)
    await page.setViewportSize({ width: 390, height: 844 })
    expect(await page.evaluate(() => document.documentElement.scrollWidth - innerWidth)).toBe(0)
    await page.getByRole("button", { name: "Fewer" }).scrollIntoViewIfNeeded()
    await shoot(page, `edits-groups-phone-${colorScheme}`)
    await page.getByRole("button", { name: "Fewer" }).click()
    await shoot(page, `edits-row-phone-${colorScheme}`)
    await page.context().close()
  }
  const small = await openLarge({ slots: 1 })
  await small.getByRole("button", { name: "44 more" }).waitFor()
})

test("what speaks of image 2 asks for image 2", async () => {
  const page = await openLarge()
  await byId(page, "file-input").setInputFiles(join(photos, "cat.jpg"))
  await byId(page, "prompt").fill("blend it with image 2")
  await byId(page, "missing-picture").waitFor()
  expect(await byId(page, "missing-picture").innerText()).toContain("Image 2 is missing. Photos so far: 1 of 2.")
  expect(await seriousViolations(page)).toEqual([])
  await shoot(page, "missing-picture")
  const asked = page.waitForEvent("filechooser")
  await page.getByRole("button", { name: "Add image 2" }).click()
  await (await asked).setFiles(join(photos, "coffee.jpg"))
  await byId(page, "missing-picture").waitFor({ state: "detached" })
  expect(await page.locator("figure").count()).toBe(2)
  await shoot(page, "two-pictures")

  await page.getByRole("button", { name: "Remove photo 2" }).click()
  await page.getByRole("button", { name: "47 more" }).click()
  const again = page.waitForEvent("filechooser")
  await page.getByRole("button", { name: "blend · 2 photos" }).click()
  await (await again).setFiles(join(photos, "rocket.jpg"))
  expect(await byId(page, "prompt").inputValue()).toBe("blend with image 2")
  await page.locator("figure button[title='rocket.jpg']").waitFor()
  await page.getByRole("button", { name: "blend", exact: true }).waitFor()
})

test("a model of one photo says that image 2 is not possible", async () => {
  const page = await openLarge({ slots: 1 })
  await byId(page, "file-input").setInputFiles(join(photos, "cat.jpg"))
  await byId(page, "prompt").fill("blend it with image 2")
  expect(await byId(page, "missing-picture").innerText()).toBe("The sentence speaks of image 2. Photos that this model takes: 1.")
})
