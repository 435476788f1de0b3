/** Where a picture lies in its pane. Pure: no element, no event. Picture sizes are its pixels, pane sizes CSS pixels. */

export type Size = { width: number; height: number }
export type Point = { x: number; y: number }

/** zoom is a multiple of the scale that fits; x and y, 0 to 1, are the point of the picture in the middle of the pane. */
export type View = { zoom: number; x: number; y: number }

/** What a view is looked at with. dpr is device pixels in a CSS pixel. */
export type Frame = { picture: Size; pane: Size; dpr: number }

export const fitted: View = { zoom: 1, x: 0.5, y: 0.5 }

/** So many CSS pixels a pixel of the picture may become. */
const largest = 32

/** The scale at which the whole picture is seen, as large as it can be. */
export function fitScale({ picture, pane }: Frame): number {
  return Math.min(pane.width / picture.width, pane.height / picture.height)
}

/** The scale at which a pixel of the picture is one of the screen. */
export const actualScale = ({ dpr }: Frame): number => 1 / dpr

export const scaleOf = (view: View, frame: Frame): number => view.zoom * fitScale(frame)

/** within keeps the scale in its limits and the picture over the pane: no edge comes inside while there is more of it. */
export function within(view: View, frame: Frame): View {
  const fit = fitScale(frame)
  const low = Math.min(fit, actualScale(frame))
  const scale = Math.min(Math.max(view.zoom * fit, low), Math.max(largest, fit))
  const axis = (at: number, pane: number, picture: number): number => {
    const half = pane / (2 * picture * scale)
    return half >= 0.5 ? 0.5 : Math.min(1 - half, Math.max(half, at))
  }
  return {
    zoom: scale / fit,
    x: axis(view.x, frame.pane.width, frame.picture.width),
    y: axis(view.y, frame.pane.height, frame.picture.height),
  }
}

/** Where the picture's upper left corner is in the pane, and CSS pixels in one of its pixels. */
export type Place = { left: number; top: number; scale: number }

export function placeOf(view: View, frame: Frame): Place {
  const { picture, pane } = frame
  const scale = scaleOf(view, frame)
  return {
    left: pane.width / 2 - view.x * picture.width * scale,
    top: pane.height / 2 - view.y * picture.height * scale,
    scale,
  }
}

/** The part of the pane in which the picture is seen. */
export function seenPart(place: Place, { picture, pane }: Frame): { left: number; top: number; width: number; height: number } {
  const left = Math.max(0, place.left)
  const top = Math.max(0, place.top)
  return {
    left, top,
    width: Math.min(pane.width, place.left + picture.width * place.scale) - left,
    height: Math.min(pane.height, place.top + picture.height * place.scale) - top,
  }
}

/** The point of the picture, in its pixels, that is under a point of the pane. */
export function pictureAt(at: Point, place: Place): Point {
  return { x: (at.x - place.left) / place.scale, y: (at.y - place.top) / place.scale }
}

/** zoomed makes everything larger by a factor; what is under the point of the pane stays there, as far as the edges let it. */
export function zoomed(view: View, frame: Frame, factor: number, at: Point = middle(frame)): View {
  const { picture, pane } = frame
  const here = pictureAt(at, placeOf(view, frame))
  const zoom = within({ ...view, zoom: view.zoom * factor }, frame).zoom
  const scale = zoom * fitScale(frame)
  return within({
    zoom,
    x: (here.x - (at.x - pane.width / 2) / scale) / picture.width,
    y: (here.y - (at.y - pane.height / 2) / scale) / picture.height,
  }, frame)
}

/** panned moves the picture by CSS pixels. */
export function panned(view: View, frame: Frame, dx: number, dy: number): View {
  const scale = scaleOf(view, frame)
  return within({ ...view, x: view.x - dx / scale / frame.picture.width, y: view.y - dy / scale / frame.picture.height }, frame)
}

/** toScale zooms to a scale, for example that of 100 %. */
export const toScale = (view: View, frame: Frame, scale: number, at?: Point): View =>
  zoomed(view, frame, scale / scaleOf(view, frame), at)

/** carried takes a view to another pane: nearness stays, the whole stays whole. Another picture is seen whole. */
export function carried(view: View, from: Frame, to: Frame): View {
  const same = from.picture.width === to.picture.width && from.picture.height === to.picture.height
  if (!same || Math.abs(view.zoom - 1) < 1e-6) return fitted
  return within({ ...view, zoom: scaleOf(view, from) / fitScale(to) }, to)
}

/** canPan tells whether there is more of the picture than the pane shows. */
export function canPan(view: View, frame: Frame): boolean {
  const scale = scaleOf(view, frame)
  return frame.picture.width * scale > frame.pane.width + 0.5 || frame.picture.height * scale > frame.pane.height + 0.5
}

/** Double click goes to 100 % at that point, and back to the whole picture. */
export function toggled(view: View, frame: Frame, at: Point): View {
  if (Math.abs(view.zoom - 1) > 1e-6) return fitted
  const actual = actualScale(frame)
  // A picture that is smaller than its pane has 100 % below the fit: there the double click is a closer look.
  return toScale(view, frame, actual > fitScale(frame) * 1.01 ? actual : fitScale(frame) * 2, at)
}

const middle = ({ pane }: Frame): Point => ({ x: pane.width / 2, y: pane.height / 2 })

/** A wheel's way becomes a factor: pinches come in small numbers, notches of a wheel in large ones. */
export function wheelFactor(deltaY: number, deltaMode: number): number {
  const px = deltaMode === 1 ? deltaY * 16 : deltaMode === 2 ? deltaY * 100 : deltaY
  return Math.exp(-Math.min(30, Math.max(-30, px)) * 0.01)
}
