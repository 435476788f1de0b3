import type { Page } from "playwright-core"

export type Comparison = { width: number; height: number; psnr_db: number }

/** How near a result is to the exact grey of its source, in decibels; computed in the browser, which can decode pictures. */
export function comparedWithGrey(page: Page, source: string, result: string): Promise<Comparison> {
  return page.evaluate(async ([sourceUrl, resultUrl]) => {
    // oxlint-disable-next-line unicorn/consistent-function-scoping -- the browser gets this function alone
    const pixels = async (url: string) => {
      const blob = await (await fetch(url)).blob()
      const bitmap = await createImageBitmap(blob, { colorSpaceConversion: "none" })
      const canvas = new OffscreenCanvas(bitmap.width, bitmap.height)
      const context = canvas.getContext("2d")
      if (!context) throw new Error("no canvas")
      context.drawImage(bitmap, 0, 0)
      return context.getImageData(0, 0, bitmap.width, bitmap.height)
    }
    const [a, b] = [await pixels(sourceUrl), await pixels(resultUrl)]
    let error = 0
    for (let i = 0; i < a.data.length; i += 4) {
      const grey = 0.299 * (a.data[i] ?? 0) + 0.587 * (a.data[i + 1] ?? 0) + 0.114 * (a.data[i + 2] ?? 0)
      for (let c = 0; c < 3; c++) error += (grey - (b.data[i + c] ?? 0)) ** 2
    }
    const mean = error / ((a.data.length / 4) * 3)
    const same = a.width === b.width && a.height === b.height
    return { width: b.width, height: b.height, psnr_db: same ? 10 * Math.log10(255 ** 2 / mean) : -1 }
  }, [source, result] as const)
}
