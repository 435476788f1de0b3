import type { ModelView } from "../api/gen/qie"
import type { Settings } from "./recipe"

/** guidanceOf is what the next edit runs with: what was typed, else the preset's, else the model's. */
export function guidanceOf(s: Settings, model: ModelView): number {
  const typed = s.cfg.trim() === "" ? NaN : Number(s.cfg)
  const preset = model.presets.find((p) => p.name === s.preset)
  return Number.isFinite(typed) ? typed : (preset?.true_cfg_scale ?? model.default_true_cfg_scale)
}

/** A negative prompt counts only while guidance is on. */
export const negativeIsIdle = (s: Settings, model: ModelView): boolean => s.negative.trim() !== "" && guidanceOf(s, model) <= 1

/** A guidance that makes a negative prompt count: the model's own, where that does. */
export const guidanceOn = (model: ModelView): number => (model.default_true_cfg_scale > 1 ? model.default_true_cfg_scale : 4)

/** takesOf is what the next edit takes here, in seconds, low and high; null while nobody measured it or steps were typed. */
export function takesOf(s: Settings, model: ModelView): readonly number[] | null {
  if (s.steps.trim() !== "" || s.cfg.trim() !== "" || s.size === "custom") return null
  return (s.preset ? model.presets.find((p) => p.name === s.preset)?.takes_s : model.takes_s) ?? null
}
