import type { Grey } from "./mask"

/** Rows go to the compressor in parts of about so many bytes. */
const part_bytes = 1 << 20

/**
 * greyPng writes a mask as an 8-bit grey PNG. A canvas would write four channels, and has limits of size that a mask of a
 * large photo meets.
 */
export async function greyPng({ width, height, data }: Grey): Promise<Blob> {
  const head = new DataView(new ArrayBuffer(13))
  head.setUint32(0, width)
  head.setUint32(4, height)
  head.setUint8(8, 8) // bits; grey, deflate, no filter method, no interlace are 0
  const packer = new CompressionStream("deflate")
  const packed = new Response(packer.readable).arrayBuffer()
  const writer = packer.writable.getWriter()
  const rows = Math.max(1, Math.floor(part_bytes / (width + 1)))
  for (let y = 0; y < height; y += rows) {
    const count = Math.min(rows, height - y)
    const raw = new Uint8Array(count * (width + 1)) // each row begins with its filter, 0
    for (let i = 0; i < count; i++) raw.set(data.subarray((y + i) * width, (y + i + 1) * width), i * (width + 1) + 1)
    await writer.write(raw)
  }
  await writer.close()
  const signature = new Uint8Array([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a])
  return new Blob([signature, chunk("IHDR", new Uint8Array(head.buffer)), chunk("IDAT", new Uint8Array(await packed)), chunk("IEND", new Uint8Array())],
    { type: "image/png" })
}

function chunk(kind: string, body: Uint8Array): Uint8Array<ArrayBuffer> {
  const out = new Uint8Array(body.length + 12)
  const view = new DataView(out.buffer)
  view.setUint32(0, body.length)
  for (let i = 0; i < 4; i++) out[4 + i] = kind.charCodeAt(i)
  out.set(body, 8)
  view.setUint32(body.length + 8, crc(out.subarray(4, body.length + 8)))
  return out
}

const table = Uint32Array.from({ length: 256 }, (_, n) => {
  let c = n
  for (let bit = 0; bit < 8; bit++) c = c & 1 ? 0xedb88320 ^ (c >>> 1) : c >>> 1
  return c
})

function crc(bytes: Uint8Array): number {
  let c = 0xffffffff
  for (const byte of bytes) c = (table[(c ^ byte) & 0xff] ?? 0) ^ (c >>> 8)
  return (c ^ 0xffffffff) >>> 0
}
