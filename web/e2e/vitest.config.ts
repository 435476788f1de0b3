import { defineConfig } from "vitest/config"

// One real server with one real worker at a time: files run in turn, and a worker needs seconds to load.
export default defineConfig({
  test: {
    root: import.meta.dirname,
    include: ["*.e2e.ts"],
    environment: "node",
    fileParallelism: false,
    testTimeout: 120_000,
    hookTimeout: 120_000,
    reporters: ["verbose"],
  },
})
