import { createHash } from "node:crypto"
import { createServer, type Server as Http } from "node:http"
import type { AddressInfo } from "node:net"
import type { Browser } from "playwright-core"
import { afterAll, beforeAll, expect, test } from "vitest"
import type { ModelList } from "../src/api/gen/qie"
import { byId, newPage, openBrowser, seriousViolations, shoot } from "./browser"
import { Server, until } from "./server"

// A hub with one LoRA of 8 MiB. It sends what was asked for piece by piece, and only while the gate is open.
const file = "Qwen-Image-Edit-Lightning-4steps-V1.0-bf16.safetensors"
const data = Buffer.alloc(8 << 20, 7)
let open = false
let hub: Http
let server: Server
let browser: Browser

beforeAll(async () => {
  hub = createServer((request, response) => {
    const path = request.url ?? ""
    if (path.includes("/revision/")) return void response.end(JSON.stringify({ sha: "0".repeat(40) }))
    if (path.includes("/tree/")) {
      const oid = createHash("sha256").update(data).digest("hex")
      return void response.end(JSON.stringify([{ type: "file", path: file, oid: "0".repeat(40), size: data.length, lfs: { oid, size: data.length } }]))
    }
    const [from = 0, last = data.length - 1] = (request.headers.range ?? "").replace("bytes=", "").split("-").map(Number)
    response.writeHead(206, { "Content-Range": `bytes ${from}-${last}/${data.length}`, "Content-Length": last + 1 - from })
    const send = (at: number): void => {
      if (response.destroyed) return
      if (at > last) return void response.end()
      if (!open && at > from) return void setTimeout(() => send(at), 20)
      response.write(data.subarray(at, Math.min(at + 65536, last + 1)), () => send(at + 65536))
    }
    send(from)
  })
  await new Promise<void>((listening) => { hub.listen(0, "127.0.0.1", listening) })
  server = await Server.start({ QIE_PYTHON_ENV: "/nonexistent/python", HF_ENDPOINT: `http://127.0.0.1:${(hub.address() as AddressInfo).port}`,
    HF_HOME: "", HF_HUB_CACHE: "", NO_PROXY: "*" })
  browser = await openBrowser()
})

afterAll(async () => {
  await browser?.close()
  await server?.stop()
  hub?.closeAllConnections()
  hub?.close()
})

test("a model is fetched, paused and resumed in the system panel", async () => {
  const { page, errors, foreign } = await newPage(browser, server.url)
  await page.locator('[data-testid="connection"][data-status="live"]').waitFor()
  await page.getByRole("button", { name: "System" }).click()
  await byId(page, "catalogue").locator("summary").click()
  const row = byId(page, "catalogue").getByRole("listitem").filter({ hasText: "Lightning Edit, 4 steps" })
  await row.getByRole("button", { name: "Get" }).click()
  await row.locator('[data-state="downloading"]').waitFor()
  await row.getByRole("button", { name: "Pause" }).click()
  await row.locator('[data-state="paused"]').waitFor()
  await shoot(page, "models")
  expect(await seriousViolations(page)).toEqual([])
  open = true
  await row.getByRole("button", { name: "Resume" }).click()
  await row.locator('[data-state="complete"]').waitFor()
  expect(await row.innerText()).toContain("every file checked")
  expect(errors).toEqual([])
  expect(foreign).toEqual([])
})

test("a machine that can run the full model is offered it above the stage, and the offer can be put away", async () => {
  const { page } = await newPage(browser, "about:blank")
  await page.route("**/api/v1/models", async (route) => {
    const list = (await (await route.fetch()).json()) as ModelList
    await route.fulfill({ json: { ...list, catalogue: list.catalogue.map((e) => ({ ...e, fit: { ok: true, reason: "fits" } })) } })
  })
  await page.goto(server.url)
  const card = byId(page, "get-model")
  await card.waitFor()
  await until("the offer says what it is", async () => /Qwen-Image-Edit-2511[\s\S]*57\.7 GB[\s\S]*Apache-2\.0/.test(await card.innerText()))
  await shoot(page, "get-model")
  expect(await seriousViolations(page)).toEqual([])
  await card.getByRole("button", { name: "Hide" }).click()
  await card.waitFor({ state: "detached" })
})
