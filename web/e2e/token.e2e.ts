import { afterAll, beforeAll, expect, test } from "vitest"
import type { Browser } from "playwright-core"
import { byId, newPage, openBrowser, shoot } from "./browser"
import { Server } from "./server"

const token = "correct horse battery staple"
let server: Server
let browser: Browser

beforeAll(async () => {
  server = await Server.start({ QIE_TOKEN: token })
  browser = await openBrowser()
})

afterAll(async () => {
  await browser?.close()
  await server?.stop()
})

test("a page whose token is gone asks for it, and goes on", async () => {
  const { page } = await newPage(browser, `${server.url}/?token=${encodeURIComponent(token)}`)
  const live = page.locator('[data-testid="connection"][data-status="live"]')
  await live.waitFor()
  expect(new URL(page.url()).search).toBe("")
  await page.context().clearCookies()
  await page.keyboard.press("i")
  const dialog = page.getByRole("dialog", { name: "This qie asks for its token" })
  await dialog.waitFor()
  await dialog.getByLabel("Token").fill("wrong")
  await dialog.getByRole("button", { name: "Unlock" }).click()
  await byId(page, "error").waitFor()
  await shoot(page, "token")
  await dialog.getByLabel("Token").fill(token)
  await dialog.getByRole("button", { name: "Unlock" }).click()
  await dialog.waitFor({ state: "detached" })
  await live.waitFor()
  const stored = await page.evaluate(() => JSON.stringify({ ...localStorage, ...sessionStorage }))
  expect(stored).not.toContain(token)
})
