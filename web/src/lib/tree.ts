import type { Job } from "../api/gen/qie"

/** What the tree looks at of a job. */
export type Node = Pick<Job, "id" | "parent" | "photo" | "created_at" | "state" | "trashed_at"> & { recipe: Pick<Job["recipe"], "prompt"> }

/** The edits of one photo. The photo itself is the root, named "". What is in the trash has no place; its edits hang on what it was made from. */
export type Tree = {
  nodes: ReadonlyMap<string, Node>
  parents: ReadonlyMap<string, string>
  /** oldest first, under the id of the parent */
  children: ReadonlyMap<string, readonly string[]>
}

export const root = ""

/** grow makes the tree of whatever is known: one whose parent is not known hangs on the photo, and no line goes in a circle. */
export function grow(known: Iterable<Node>): Tree {
  const all = new Map([...known].map((node) => [node.id, node]))
  const shown = [...all.values()].filter((node) => !node.trashed_at).toSorted(byAge)
  const nodes = new Map(shown.map((node) => [node.id, node]))
  const parents = new Map<string, string>()
  for (const node of shown) {
    const seen = new Set([node.id])
    let up = node.parent ?? root
    while (up !== root && !nodes.has(up)) {
      seen.add(up)
      up = all.get(up)?.parent ?? root
      if (seen.has(up)) up = root
    }
    parents.set(node.id, leadsTo(parents, up, node.id) ? root : up)
  }
  const children = new Map<string, string[]>()
  for (const [id, parent] of parents) {
    const edits = children.get(parent)
    if (edits) edits.push(id)
    else children.set(parent, [id])
  }
  return { nodes, parents, children }
}

function leadsTo(parents: ReadonlyMap<string, string>, from: string, to: string): boolean {
  for (let at = from; at !== root; at = parents.get(at) ?? root) if (at === to) return true
  return false
}

function byAge(a: Node, b: Node): number {
  return Date.parse(a.created_at) - Date.parse(b.created_at) || (a.id < b.id ? -1 : 1)
}

/** lineOf is the way from the photo to a node, without the photo. */
export function lineOf(tree: Tree, id: string): string[] {
  const line: string[] = []
  for (let at = id; at !== root && tree.nodes.has(at); at = tree.parents.get(at) ?? root) line.unshift(at)
  return line
}

/** undone is the node that undo goes to; null when there is none, which is the photo. */
export const undone = (tree: Tree, id: string): string | null => (tree.nodes.has(id) && id !== root ? (tree.parents.get(id) ?? root) : null)

/** redone is the edit that redo goes to: the one that was left last, else the newest. */
export function redone(tree: Tree, id: string, left: Readonly<Record<string, string>>): string | null {
  const edits = tree.children.get(id) ?? []
  const last = left[id]
  return last !== undefined && edits.includes(last) ? last : (edits.at(-1) ?? null)
}

/** variationsOf gives the edits that ask the same of the same picture, oldest first, with the node itself. */
export function variationsOf(tree: Tree, id: string): string[] {
  const prompt = tree.nodes.get(id)?.recipe.prompt
  const parent = tree.parents.get(id)
  if (prompt === undefined || parent === undefined) return []
  return (tree.children.get(parent) ?? []).filter((other) => tree.nodes.get(other)?.recipe.prompt === prompt)
}

export type Line = { id: string; depth: number }

/** linesOf is the tree as a list, each node before its edits. */
export function linesOf(tree: Tree): Line[] {
  const lines: Line[] = []
  const stack = [...(tree.children.get(root) ?? [])].toReversed().map((id) => ({ id, depth: 1 }))
  for (let at = stack.pop(); at; at = stack.pop()) {
    const { id, depth } = at
    lines.push(at)
    stack.push(...[...(tree.children.get(id) ?? [])].toReversed().map((child) => ({ id: child, depth: depth + 1 })))
  }
  return lines
}
