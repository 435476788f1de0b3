import { QueryClientProvider } from "@tanstack/react-query"
import { StrictMode } from "react"
import { createRoot } from "react-dom/client"
import { listenToDrags } from "./actions/drag"
import { listenToKeys } from "./actions/keys"
import { App } from "./app"
import "./index.css"
import { queryClient } from "./lib/query-client"
import { speak } from "./lib/i18n"
import { showTheme, useUi } from "./lib/ui-store"
import { start } from "./live/connect"
import { keepShell } from "./lib/shell"
import { showTitle } from "./live/title"

showTheme()
listenToKeys()
listenToDrags()
showTitle()
void start()
void draw()
keepShell()

/** Nothing is drawn in another language first. */
async function draw(): Promise<void> {
  const { language } = useUi.getState()
  await speak(language).catch(() => useUi.setState({ language: "en" }))
  document.documentElement.lang = useUi.getState().language === "zh" ? "zh-Hans" : "en"
  const root = document.getElementById("root")
  if (!root) return
  createRoot(root).render(
    <StrictMode>
      <QueryClientProvider client={queryClient}>
        <App />
      </QueryClientProvider>
    </StrictMode>,
  )
}
