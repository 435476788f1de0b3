import { existsSync } from "node:fs"
import { readFile } from "node:fs/promises"
import { createRequire } from "node:module"
import { join } from "node:path"
import { chromium, type Browser, type BrowserContextOptions, type Page } from "playwright-core"
import { out } from "./server"

const candidates = [process.env["QIE_CHROMIUM"], "/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"]

export async function openBrowser(): Promise<Browser> {
  const executablePath = candidates.find((path) => path && existsSync(path))
  if (!executablePath) throw new Error("no Chromium: install it or set QIE_CHROMIUM")
  const asRoot = process.getuid?.() === 0 ? ["--no-sandbox"] : []
  return chromium.launch({ executablePath, args: [...asRoot, "--disable-dev-shm-usage", "--force-color-profile=srgb"] })
}

export type Watched = { page: Page; errors: string[]; foreign: string[] }

/** newPage watches what no page of qie may do: write errors to the console, or ask anybody else for anything. */
export async function newPage(browser: Browser, url: string, options: BrowserContextOptions = {}): Promise<Watched> {
  const context = await browser.newContext({ viewport: { width: 1360, height: 860 }, ...options })
  const page = await context.newPage()
  const errors: string[] = []
  const foreign: string[] = []
  page.on("console", (message) => { if (message.type() === "error") errors.push(message.text()) })
  page.on("pageerror", (error) => errors.push(String(error)))
  page.on("request", (request) => {
    const address = new URL(request.url())
    if (["http:", "https:", "ws:", "wss:"].includes(address.protocol) && address.origin !== new URL(url).origin) foreign.push(request.url())
  })
  await page.goto(url)
  return { page, errors, foreign }
}

export const shoot = (page: Page, name: string): Promise<Buffer> => page.screenshot({ path: join(out, `${name}.png`) })

export const byId = (page: Page, id: string) => page.locator(`[data-testid="${id}"]`)

/** What axe finds on the page as it stands, with its impact. */
export async function violations(page: Page): Promise<string[]> {
  const axe = await readFile(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8")
  await page.evaluate(axe)
  return page.evaluate(async () => {
    type Axe = { run: (of: Document) => Promise<{ violations: { id: string; impact: string; nodes: { html: string }[] }[] }> }
    const { violations: found } = await (globalThis as unknown as { axe: Axe }).axe.run(document)
    return found.map((v) => `${v.impact} ${v.id}: ${v.nodes.map((n) => n.html.slice(0, 160)).join(" | ")}`)
  })
}

/** What axe finds serious or critical. */
export const seriousViolations = async (page: Page): Promise<string[]> => (await violations(page)).filter((v) => /^(serious|critical) /.test(v))
