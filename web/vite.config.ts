import tailwindcss from "@tailwindcss/vite"
import react from "@vitejs/plugin-react"
import { defineConfig } from "vitest/config"
import { shell } from "./vite.shell"

// VITE_API_URL is for the development server only: the page that is built always speaks to the server it came from.
const api = process.env["VITE_API_URL"] ?? "http://127.0.0.1:8000"

export default defineConfig({
  plugins: [react(), tailwindcss(), shell("dist")],
  build: {
    // One folder in the Go binary; public/.keep brings the tracked placeholder back after each build.
    outDir: "dist",
    emptyOutDir: true,
    assetsInlineLimit: 0, // the page's policy lets no data: script or font in
    target: ["chrome123", "safari17.5", "firefox128"],
    modulePreload: { polyfill: false },
  },
  server: {
    host: "127.0.0.1",
    proxy: {
      "/api": { target: api, ws: true, changeOrigin: true, rewriteWsOrigin: true },
      "/openapi.json": { target: api, changeOrigin: true },
      "/docs": { target: api, changeOrigin: true },
    },
  },
  test: { include: ["src/**/*.test.{ts,tsx}"], environment: "node" },
})
