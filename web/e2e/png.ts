import { crc32, deflateSync, inflateSync } from "node:zlib"

export type Pixel = readonly [number, number, number]

/** png writes a picture of 8-bit RGB. */
export function png(width: number, height: number, paint: (x: number, y: number) => Pixel): Buffer {
  const rows = Buffer.alloc(height * (width * 3 + 1))
  let at = 0
  for (let y = 0; y < height; y++) {
    at++ // filter 0
    for (let x = 0; x < width; x++) for (const c of paint(x, y)) rows[at++] = c
  }
  const head = Buffer.alloc(13)
  head.writeUInt32BE(width, 0)
  head.writeUInt32BE(height, 4)
  head.set([8, 2, 0, 0, 0], 8)
  return Buffer.concat([
    Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]),
    chunk("IHDR", head), chunk("IDAT", deflateSync(rows, { level: 1 })), chunk("IEND", Buffer.alloc(0)),
  ])
}

function chunk(kind: string, data: Buffer): Buffer {
  const body = Buffer.concat([Buffer.from(kind, "latin1"), data])
  const size = Buffer.alloc(4)
  size.writeUInt32BE(data.length)
  const sum = Buffer.alloc(4)
  sum.writeUInt32BE(crc32(body))
  return Buffer.concat([size, body, sum])
}

/** chunks names the parts of a PNG, in their order. */
export function chunks(file: Buffer): string[] {
  const names: string[] = []
  for (let at = 8; at < file.length; at += 12 + file.readUInt32BE(at)) names.push(file.toString("latin1", at + 4, at + 8))
  return names
}

export type Raster = { width: number; height: number; channels: number; data: Buffer }

/** pixels reads a PNG of 8 bits without interlace: grey, RGB or RGBA. It is not the page's reader nor the server's. */
export function pixels(file: Buffer): Raster {
  let [width, height, kind] = [0, 0, 0]
  const packed: Buffer[] = []
  for (let at = 8; at < file.length;) {
    const size = file.readUInt32BE(at)
    const name = file.toString("latin1", at + 4, at + 8)
    const body = file.subarray(at + 8, at + 8 + size)
    if (name === "IHDR") [width, height, kind] = [body.readUInt32BE(0), body.readUInt32BE(4), body[9] ?? 0]
    if (name === "IDAT") packed.push(body)
    at += 12 + size
  }
  const channels = { 0: 1, 2: 3, 6: 4 }[kind]
  if (!channels) throw new Error(`PNG of colour type ${kind}`)
  const raw = inflateSync(Buffer.concat(packed))
  const stride = width * channels
  const data = Buffer.alloc(stride * height)
  for (let y = 0; y < height; y++) {
    const filter = raw[y * (stride + 1)]
    for (let i = 0; i < stride; i++) {
      const left = i >= channels ? (data[y * stride + i - channels] ?? 0) : 0
      const up = y > 0 ? (data[(y - 1) * stride + i] ?? 0) : 0
      const corner = y > 0 && i >= channels ? (data[(y - 1) * stride + i - channels] ?? 0) : 0
      const guess = filter === 1 ? left : filter === 2 ? up : filter === 3 ? (left + up) >> 1 : filter === 4 ? paeth(left, up, corner) : 0
      data[y * stride + i] = (raw[y * (stride + 1) + 1 + i] ?? 0) + guess
    }
  }
  return { width, height, channels, data }
}

function paeth(a: number, b: number, c: number): number {
  const [pa, pb, pc] = [Math.abs(b - c), Math.abs(a - c), Math.abs(a + b - 2 * c)]
  return pa <= pb && pa <= pc ? a : pb <= pc ? b : c
}
