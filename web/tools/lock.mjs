// Takes the addresses out of package-lock.json: npm leaves the registry away by .npmrc, but keeps the links that authors
// ask for money by. Hashes stay.
import { readFileSync, writeFileSync } from "node:fs"

const path = new URL("../package-lock.json", import.meta.url)
const lock = JSON.parse(readFileSync(path, "utf8"))
for (const entry of Object.values(lock.packages)) {
  delete entry.funding
  if (typeof entry.deprecated === "string") delete entry.deprecated
}
writeFileSync(path, JSON.stringify(lock, null, 2) + "\n")
