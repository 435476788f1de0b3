import { samples as made } from "../samples/samples.json"

const pictures = import.meta.glob<string>("../samples/*.jpg", { eager: true, query: "?url", import: "default" })

/** A before and after that is part of the page: it is there before the worker is, and before the person has a photo. */
export type Sample = { name: string; prompt: string; alt: string; before: string; after: string }

/** Made by `go run ./cmd/dev samples`, the one for the large place first. */
export const samples: readonly Sample[] = made.map(({ name, prompt, alt, before, after }) => ({
  name, prompt, alt, before: pictures[`../samples/${before}`] ?? "", after: pictures[`../samples/${after}`] ?? "",
}))
