import type { Browser, BrowserContextOptions, Page } from "playwright-core"
import type { Job, State } from "../src/api/gen/qie"
import { byId } from "./browser"
import type { Server } from "./server"

export type Given = { job: Job; before: Buffer; after: Buffer }

export const givenId = "00000000-0000-4000-8000-000000000001"

/** A job that has ended well, of pictures of one size. */
export function givenJob(size: { width: number; height: number }, prompt = "make the door red"): Job {
  return {
    id: givenId, state: "succeeded", attempt: 1, recipe: { prompt }, images: [{ ...size, sha256: "a".repeat(64), name: "house.png" }],
    position: 0, step: 4, steps: 4, percent: 100, notices: [], created_at: "2026-11-01T10:00:00Z", timings: {},
    result: { url: `/api/v1/jobs/${givenId}/result`, sha256: "b".repeat(64), ...size, bytes: 1, seed: 1, model: "demo" },
  }
}

/** openGiven shows the page a job and its pictures as if the server had them. What the server itself would say is not heard. */
export async function openGiven(
  browser: Browser, server: Server, { job, before, after }: Given, options: BrowserContextOptions & { images?: number; selected?: boolean } = {},
): Promise<Page> {
  const { images, selected = true, ...rest } = options
  const context = await browser.newContext({ viewport: { width: 1360, height: 860 }, ...rest })
  const page = await context.newPage()
  await page.route("**/api/v1/state", async (route) => {
    const response = await route.fetch()
    const state = (await response.json()) as State
    await route.fulfill({ json: { ...state, jobs: [job], model: { ...state.model, max_images: images ?? state.model.max_images } } })
  })
  await page.routeWebSocket("**/api/v1/live*", () => {})
  await page.route(`**/jobs/${job.id}/images/1`, (route) => route.fulfill({ body: before, contentType: "image/png" }))
  await page.route(`**/jobs/${job.id}/result*`, (route) => route.fulfill({ body: after, contentType: "image/png" }))
  await page.route(`**/jobs/${job.id}/thumb*`, (route) => route.fulfill({ body: after, contentType: "image/png" }))
  await page.route(`**/jobs?*`, (route) => route.fulfill({ json: { jobs: [job] } }))
  if (selected) await page.addInitScript((id) => sessionStorage.setItem("qie.selected", id), job.id)
  await page.goto(server.url)
  await (selected ? byId(page, "result") : byId(page, "history-item")).waitFor()
  return page
}
