import { defineConfig } from "orval"

// The client is plain fetch functions and types; the queries are ours (src/lib/queries.ts), since the live stream patches
// their cache.
export default defineConfig({
  qie: {
    input: { target: "../api/openapi.json" },
    output: {
      mode: "single",
      target: "src/api/gen/qie.ts",
      client: "fetch",
      clean: true,
      override: {
        mutator: { path: "src/api/request.ts", name: "request" },
        fetch: { includeHttpResponseReturnType: false },
      },
    },
  },
})
