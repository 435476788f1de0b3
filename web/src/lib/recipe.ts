import type { Recipe } from "../api/gen/qie"

/** Settings as the form holds them: empty text is "the model's default". */
export type Settings = {
  preset: string
  /** chosen LoRAs by id, with their strength as text */
  loras: Readonly<Record<string, string>>
  steps: string
  cfg: string
  negative: string
  seed: string
  size: "auto" | "custom"
  width: string
  height: string
}

export const defaults: Settings = { preset: "", loras: {}, steps: "", cfg: "", negative: "", seed: "", size: "auto", width: "", height: "" }

function number(text: string): number | undefined {
  return text.trim() === "" || Number.isNaN(Number(text)) ? undefined : Number(text)
}

/** recipeOf keeps only what the person set, so that the model's defaults stay the model's. */
export function recipeOf(prompt: string, s: Settings): Recipe {
  const steps = number(s.steps)
  const cfg = number(s.cfg)
  const seed = number(s.seed)
  const negative = s.negative.trim()
  const size = s.size === "custom" && s.width && s.height ? `${s.width}x${s.height}` : undefined
  const loras = Object.entries(s.loras).map(([id, text]) => ((number(text) ?? 1) === 1 ? id : `${id}:${text.trim()}`))
  return {
    prompt: prompt.trim(),
    ...(s.preset ? { preset: s.preset } : {}),
    ...(loras.length > 0 ? { loras } : {}),
    ...(negative ? { negative_prompt: negative } : {}),
    ...(steps === undefined ? {} : { steps }),
    ...(cfg === undefined ? {} : { true_cfg_scale: cfg }),
    ...(seed === undefined ? {} : { seed }),
    ...(size === undefined ? {} : { size }),
  }
}

/** settingsOf is the way back, for "use these settings". */
export function settingsOf(recipe: Recipe): Settings {
  const [width, height] = recipe.size && recipe.size !== "auto" ? recipe.size.split("x") : []
  return {
    preset: recipe.preset ?? "",
    loras: Object.fromEntries((recipe.loras ?? []).map((text) => {
      const [id = "", strength = ""] = text.split(":", 2)
      return [id, strength]
    })),
    steps: recipe.steps ? String(recipe.steps) : "",
    cfg: recipe.true_cfg_scale ? String(recipe.true_cfg_scale) : "",
    negative: recipe.negative_prompt ?? "",
    seed: recipe.seed === undefined || recipe.seed === null ? "" : String(recipe.seed),
    size: width && height ? "custom" : "auto",
    width: width ?? "",
    height: height ?? "",
  }
}
