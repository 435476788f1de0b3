import { expect, test } from "vitest"
import { pixels } from "../../e2e/png"
import { drawn } from "./chance"
import { feathered } from "./blur"
import { greyPng } from "./grey-png"

const random = drawn(11)
const noise = (width: number, height: number, levels: readonly number[]) =>
  ({ width, height, data: Uint8Array.from({ length: width * height }, () => levels[Math.floor(random() * levels.length)] ?? 0) })

test.each([[1, 1], [7, 3], [1000, 1500]])("a mask of %d x %d is written as it is", async (width, height) => {
  const mask = noise(width, height, [0, 3, 128, 255])
  const read = pixels(Buffer.from(await (await greyPng(mask)).arrayBuffer()))
  expect([read.width, read.height, read.channels]).toEqual([width, height, 1])
  expect(read.data.equals(mask.data)).toBe(true)
})

test("feather softens within its reach and leaves the rest bit for bit", () => {
  for (const reach of [0, 2, 3, 7, 12]) {
    const mask = { width: 60, height: 50, data: new Uint8Array(3000) }
    for (let y = 15; y < 35; y++) mask.data.fill(255, y * 60 + 20, y * 60 + 40)
    const soft = feathered(mask, reach)
    let between = 0
    for (let y = 0; y < 50; y++) {
      for (let x = 0; x < 60; x++) {
        const outside = Math.max(20 - x, x - 39, 15 - y, y - 34)
        const inside = Math.min(x - 19, 40 - x, y - 14, 35 - y)
        const value = soft.data[y * 60 + x] ?? -1
        if (outside > reach) expect(value).toBe(0)
        if (inside > reach) expect(value).toBe(255)
        if (value > 0 && value < 255) between++
      }
    }
    expect(between > 0).toBe(reach >= 3)
  }
})

test("feather makes no value that is beyond those it is made of, and keeps what is even", () => {
  const soft = feathered(noise(40, 40, [100, 120]), 9)
  expect([Math.min(...soft.data) >= 100, Math.max(...soft.data) <= 120]).toEqual([true, true])
  const even = { width: 30, height: 20, data: new Uint8Array(600).fill(77) }
  expect(feathered(even, 12).data).toEqual(even.data)
})
