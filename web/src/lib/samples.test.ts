import { createHash } from "node:crypto"
import { readFileSync } from "node:fs"
import { expect, test } from "vitest"
import index from "../samples/samples.json"
import { samples } from "./samples"

const read = (path: string) => readFileSync(new URL(path, import.meta.url))
const again = "make them again with: go run ./cmd/dev samples"

/** Width and height of a JPEG: the start-of-frame segment holds them. */
function sizeOf(jpeg: Buffer): [number, number] {
  for (let at = 2; at < jpeg.length; at += 2 + jpeg.readUInt16BE(at + 2)) {
    const marker = jpeg.readUInt16BE(at)
    if (marker >= 0xffc0 && marker <= 0xffc2) return [jpeg.readUInt16BE(at + 7), jpeg.readUInt16BE(at + 5)]
  }
  throw new Error("no picture")
}

test("the samples are of the model that is embedded", () => {
  const manifest = createHash("sha256").update(read("../../../pyruntime/demo/model/manifest.json")).digest("hex")
  expect(index.model, again).toBe(manifest)
})

test("every sample is complete, and all of them are small", () => {
  let bytes = 0
  for (const { before, after, licence, source } of index.samples) {
    const [a, b] = [read(`../samples/${before}`), read(`../samples/${after}`)]
    bytes += a.length + b.length
    expect(sizeOf(b)).toEqual(sizeOf(a))
    expect(Math.max(...sizeOf(a))).toBeLessThanOrEqual(768)
    expect(licence && source).toBeTruthy()
  }
  expect(bytes).toBeLessThan(400_000)
  expect(samples.every((s) => s.before && s.after && s.prompt && s.alt)).toBe(true)
  expect(samples).toHaveLength(3)
})
