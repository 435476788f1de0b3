import { sentence, type Sentence } from "./errors"

export const acceptedTypes = ["image/jpeg", "image/png", "image/webp", "image/bmp"] as const
const bytesMax = 100 << 20

/** pictures keeps the files that qie can edit, and says why it left out the first that it cannot. */
export function pictures(files: Iterable<File>): { files: File[]; problem: Sentence | null } {
  const good: File[] = []
  let problem: Sentence | null = null
  for (const file of files) {
    if (!(acceptedTypes as readonly string[]).includes(file.type)) {
      problem ??= sentence({ code: "image_unsupported", message: file.name })
    } else if (file.size > bytesMax) {
      problem ??= sentence({ code: "image_too_large", message: file.name })
    } else good.push(file)
  }
  return { files: good, problem }
}
