import { t } from "../../lib/i18n"
import { useStatus } from "../../live/status"

const dots = { connecting: "bg-line-strong", live: "bg-good", lost: "bg-bad" } as const

export function ConnectionLine() {
  const connection = useStatus((s) => s.connection)
  return (
    <span data-testid="connection" data-status={connection} role="status"
      className={`flex items-center gap-1.5 text-xs ${connection === "lost" ? "text-bad" : "text-muted"}`}>
      <span className={`size-2 rounded-full ${dots[connection]}`} aria-hidden="true" />
      <span className={connection === "lost" ? "" : "max-sm:sr-only"}>{t(`connection.${connection}`)}</span>
    </span>
  )
}
