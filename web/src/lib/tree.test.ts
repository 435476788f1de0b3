import { describe, expect, test } from "vitest"
import { grow, lineOf, linesOf, redone, root, undone, variationsOf, type Node, type Tree } from "./tree"

const node = (id: string, parent = "", change: Partial<Node> = {}): Node =>
  ({ id, parent, photo: "p", state: "succeeded", created_at: new Date(Number(id.replace(/\D/g, "")) * 1000).toISOString(), recipe: { prompt: `edit ${id}` }, ...change })

/** A stream of numbers from a seed, so that a failure can be played again. */
function numbers(seed: number): (below: number) => number {
  let x = seed * 2654435761 + 1
  return (below) => {
    x = (Math.imul(x ^ (x >>> 15), 2246822519) + 0x9e3779b9) | 0
    return ((x ^ (x >>> 13)) >>> 0) % below
  }
}

function expectWhole(tree: Tree): void {
  const lines = linesOf(tree)
  expect(lines.map((l) => l.id).toSorted()).toEqual([...tree.nodes.keys()].toSorted()) // each once, none lost
  for (const { id, depth } of lines) {
    const parent = tree.parents.get(id)
    expect(parent === root || tree.nodes.has(parent ?? "?")).toBe(true)
    expect(tree.children.get(parent ?? "?")).toContain(id)
    const line = lineOf(tree, id)
    expect(line.at(-1)).toBe(id)
    expect(line.length).toBe(depth)
  }
}

describe("any sequence of undo, redo, branch, delete and restore", () => {
  test.each(Array.from({ length: 60 }, (_, seed) => seed))("keeps the graph whole, seed %i", (seed) => {
    const draw = numbers(seed)
    let jobs: Node[] = []
    let left: Record<string, string> = {}
    let at = root
    let next = 1
    const pick = () => jobs[draw(jobs.length)]
    const go = (to: string) => { at = to }
    for (let step = 0; step < 80; step++) {
      const tree = grow(jobs)
      if (!tree.nodes.has(at)) at = root
      const what = draw(10)
      if (what < 4) {
        const id = `j${next++}`
        jobs = [...jobs, node(id, at)]
        go(id)
      } else if (what === 4) {
        const up = undone(tree, at)
        if (up !== null) {
          left = { ...left, [up]: at }
          const from = at
          go(up)
          expect(redone(tree, at, left)).toBe(from) // redo is the way back
        }
      } else if (what === 5) {
        const down = redone(tree, at, left)
        if (down !== null) {
          expect(undone(tree, down)).toBe(at)
          go(down)
        }
      } else if (what === 6 || what === 7) {
        const gone = pick()
        if (gone) jobs = jobs.map((j) => (j.id === gone.id ? { ...j, trashed_at: what === 6 ? "2026-11-25T10:00:00Z" : undefined } as Node : j))
      } else if (what === 8) {
        // for good: the server hangs its edits on its parent
        const gone = pick()
        if (gone) jobs = jobs.filter((j) => j.id !== gone.id).map((j) => (j.parent === gone.id ? { ...j, parent: gone.parent ?? root } : j))
      } else {
        const other = pick()
        if (other) go(other.id)
      }
      const now = grow(jobs)
      expectWhole(now)
      expect(now.nodes.size).toBe(jobs.filter((j) => !j.trashed_at).length)
    }
    expectWhole(grow(jobs.filter((_, i) => i % 3 !== 0))) // also of what only half is known
  })
})

test("the edits of what is in the trash hang on what it was made from, and come back under it", () => {
  const jobs = [node("a1"), node("b2", "a1"), node("c3", "b2")]
  const trashed = jobs.map((j) => (j.id === "b2" ? { ...j, trashed_at: "2026-11-25T10:00:00Z" } : j))
  expect(lineOf(grow(trashed), "c3")).toEqual(["a1", "c3"])
  expect(lineOf(grow(jobs), "c3")).toEqual(["a1", "b2", "c3"])
})

test("what names itself or each other as parent hangs on the photo", () => {
  const tree = grow([node("a1", "b2"), node("b2", "a1"), node("c3", "c3")])
  expectWhole(tree)
  expect(tree.children.get(root)).toContain("c3")
})

test("a photo with ten thousand edits is no burden", () => {
  const jobs = Array.from({ length: 10_000 }, (_, i) => node(`j${i}`, i % 100 ? `j${i - 1}` : ""))
  const start = performance.now()
  expect(linesOf(grow(jobs)).length).toBe(10_000)
  expect(performance.now() - start).toBeLessThan(2_000) // 40 ms on an idle machine
})

test("variations ask the same of the same picture", () => {
  const same = { recipe: { prompt: "make it sepia" } }
  const tree = grow([node("a1", "", same), node("b2", "", same), node("c3"), node("d4", "a1", same)])
  expect(variationsOf(tree, "b2")).toEqual(["a1", "b2"])
  expect(variationsOf(tree, "d4")).toEqual(["d4"])
  expect(variationsOf(tree, "gone")).toEqual([])
})

test("redo goes to the edit that was left last, else to the newest", () => {
  const tree = grow([node("a1"), node("b2"), node("c3")])
  expect(redone(tree, root, {})).toBe("c3")
  expect(redone(tree, root, { "": "a1" })).toBe("a1")
  expect(redone(tree, root, { "": "gone" })).toBe("c3")
  expect(redone(tree, "c3", {})).toBeNull()
})
