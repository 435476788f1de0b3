import { QueryClientProvider } from "@tanstack/react-query"
import { StrictMode } from "react"
import { createRoot } from "react-dom/client"
import { listenToDrags } from "./actions/drag"
import { listenToKeys } from "./actions/keys"
import { App } from "./app"
import "./index.css"
import { queryClient } from "./lib/query-client"
import { showTheme } from "./lib/ui-store"
import { start } from "./live/connect"
import { showTitle } from "./live/title"

showTheme()
listenToKeys()
listenToDrags()
showTitle()
void start()

const root = document.getElementById("root")
if (root) {
  createRoot(root).render(
    <StrictMode>
      <QueryClientProvider client={queryClient}>
        <App />
      </QueryClientProvider>
    </StrictMode>,
  )
}
