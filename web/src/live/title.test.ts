import { beforeAll, expect, test, vi } from "vitest"
import type { Job } from "../api/gen/qie"

vi.stubGlobal("localStorage", { getItem: () => null, setItem: () => {} })
vi.stubGlobal("sessionStorage", { getItem: () => null, setItem: () => {} })
const page = { hidden: true, title: "", documentElement: { dataset: {} }, querySelector: () => null, addEventListener: () => {} }
vi.stubGlobal("document", page)
vi.stubGlobal("isSecureContext", true)
const told: string[] = []
class Told {
  static permission = "granted"
  static requestPermission = () => Promise.resolve("granted")
  addEventListener = () => {}
  constructor(words: string, options: { body: string }) {
    told.push(`${words} ${options.body}`)
  }
}
vi.stubGlobal("Notification", Told)

let title: typeof import("./title")
beforeAll(async () => { title = await import("./title") })

const job = (state: string) => ({ id: "a", state, recipe: { prompt: "make it sepia" } }) as Job
const progress = (change: object) => ({ job: "a", attempt: 1, phase: "denoise" as const, step: 1, steps: 4, percent: 42.7, ...change })

test("a tab's title has the percent, and the time left once it was measured", () => {
  expect(title.titleOf(null)).toBe("qie")
  expect(title.titleOf(progress({}))).toBe("42 % – qie")
  expect(title.titleOf(progress({ eta_s: [60, 130] }))).toBe("42 % · about 1 min to 3 min left – qie")
})

test("the ring in the icon is as long as the edit is far", () => {
  expect(title.ringSvg(50)).toContain('stroke-dasharray="37.7 75.4"')
  expect(title.ringSvg(0)).toContain('stroke-dasharray="0.0 75.4"')
})

test("the end is told once, to who looks elsewhere and asked for it by a press", async () => {
  title.tellEnd(job("running"), job("succeeded"))
  expect(told).toEqual([])
  expect(page.title).toBe("The edit is done. – qie")
  await title.askToNotify()
  title.tellEnd(job("running"), job("succeeded"))
  expect(told).toEqual(["The edit is done. make it sepia"])
  for (const [before, after] of [["succeeded", "succeeded"], ["running", "canceled"], ["queued", "running"]] as const) title.tellEnd(job(before), job(after))
  title.tellEnd(undefined, job("succeeded")) // it had ended before the page came
  page.hidden = false
  title.tellEnd(job("running"), job("failed"))
  expect(told.length).toBe(1)
  await title.askToNotify() // the second press takes it back
  page.hidden = true
  title.tellEnd(job("running"), job("failed"))
  expect(told.length).toBe(1)
})
