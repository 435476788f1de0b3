import { createHash } from "node:crypto"
import { readdirSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import type { Plugin } from "vite"

/** Files beside the hashed ones that the shell needs when nobody answers. */
const beside = ["/", "/icon.svg", "/icon-192.png", "/manifest.webmanifest"]

/** shell writes the list of built scripts and styles into the service worker; pictures of the samples stay out. */
export function shell(outDir: string): Plugin {
  return {
    name: "qie-shell",
    apply: "build",
    closeBundle() {
      const assets = readdirSync(join(outDir, "assets")).filter((name) => /\.(js|css)$/.test(name)).map((name) => `/assets/${name}`)
      const files = [...beside, ...assets.toSorted()]
      const hash = createHash("sha256")
      for (const name of ["index.html", ...files.slice(1)]) hash.update(readFileSync(join(outDir, name)))
      const path = join(outDir, "sw.js")
      const text = readFileSync(path, "utf8").replace("__HASH__", hash.digest("hex").slice(0, 12)).replace("/*__FILES__*/", files.map((f) => JSON.stringify(f)).join(", "))
      writeFileSync(path, text)
    },
  }
}
