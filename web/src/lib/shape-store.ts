import { create } from "zustand"
import { mirrored, quarter, wholeShape, type Shape } from "./shape"
import type { Size } from "./view"

/** The frame that is being set. Buttons, keys and the pointer share it. */
export const useShape = create<{ photo: Size; shape: Shape }>(() => ({ photo: { width: 1, height: 1 }, shape: wholeShape({ width: 1, height: 1 }) }))

export const turnPhoto = (way: 1 | -1): void => useShape.setState(({ photo, shape }) => ({ shape: quarter(shape, photo, way) }))
export const mirrorPhoto = (): void => useShape.setState(({ photo, shape }) => ({ shape: mirrored(shape, photo) }))
