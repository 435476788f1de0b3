import { writeFile } from "node:fs/promises"
import { join } from "node:path"
import { afterAll, beforeAll, expect, test } from "vitest"
import type { Browser } from "playwright-core"
import { byId, newPage, openBrowser, seriousViolations, shoot } from "./browser"
import { Server } from "./server"

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

test("the system panel shows each setting, its place, and a file that cannot be used", async () => {
  const file = join(server.home, "config.toml")
  await writeFile(file, "qie_keep_jobs = 7\n")
  const { page, errors } = await newPage(browser, server.url)
  const told = page.locator('[data-testid="notice"]')
  await told.filter({ hasText: "QIE_KEEP_JOBS" }).waitFor()
  await writeFile(file, "\nprot = 7\n")
  await told.filter({ hasText: "line 2" }).waitFor()
  await page.keyboard.press("i")
  const settings = byId(page, "settings")
  await settings.getByText("What is written now is not used").waitFor()
  const keep = settings.locator('[data-setting="QIE_KEEP_JOBS"]')
  expect(await keep.innerText()).toMatch(/7[^]*config\.toml, line 1 · changes at once/)
  await page.getByText("0 jobs, 0").waitFor()
  expect(await seriousViolations(page)).toEqual([])
  await shoot(page, "settings")
  expect(errors).toEqual([])
})
