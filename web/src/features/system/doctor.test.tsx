import { QueryClientProvider } from "@tanstack/react-query"
import { renderToStaticMarkup } from "react-dom/server"
import { beforeAll, expect, test, vi } from "vitest"
import type { Finding } from "../../api/gen/qie"

vi.stubGlobal("localStorage", { getItem: () => null })
vi.stubGlobal("sessionStorage", { getItem: () => null })

let draw: (findings: Finding[]) => string
beforeAll(async () => {
  const { queryClient } = await import("../../lib/query-client")
  const { Doctor } = await import("./doctor")
  draw = (findings) => {
    queryClient.setQueryData(["doctor"], { version: "1", worst: "ok", findings })
    return renderToStaticMarkup(<QueryClientProvider client={queryClient}><Doctor /></QueryClientProvider>)
  }
})

const findings: Finding[] = [
  { name: "machine", level: "ok", title: "Apple Silicon: M3" },
  { name: "memory", level: "warning", title: "16 GB memory", cause: "the full model takes 58 GB", advice: "nothing for the demo" },
  { name: "port", level: "error", title: "port 8000 is taken", cause: "python3 listens on it", fix: "./start --port 8001", advice: "or end that program" },
]

test("every finding has its mark, its cause, the line that fixes it and what else helps, the worst first", () => {
  const html = draw(findings)
  const places = ["port 8000 is taken", "16 GB memory", "Apple Silicon: M3"].map((text) => html.indexOf(text))
  expect(places.every((at) => at > 0)).toBe(true)
  expect(places).toEqual(places.toSorted((a, b) => a - b))
  for (const part of ["✗", "!", "✓", "python3 listens on it", "the full model takes 58 GB", "or end that program", "nothing for the demo"]) {
    expect(html).toContain(part)
  }
  // One press selects the whole line, and nothing else is a line to type.
  expect(html.match(/<code[^>]*select-all[^>]*>[^<]*<\/code>/g)).toHaveLength(1)
  expect(html).toMatch(/<code[^>]*select-all[^>]*>\.\/start --port 8001<\/code>/)
})

test("nothing to find is said", () => {
  expect(draw([])).toContain("<p>")
})
