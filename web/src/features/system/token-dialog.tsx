import { useState, type FormEvent } from "react"
import { t } from "../../lib/i18n"
import { unlocked } from "../../live/connect"
import { useStatus } from "../../live/status"
import { Button } from "../../ui/button"
import { Dialog } from "../../ui/dialog"

/**
 * When qie asks for its token. GET /?token= exchanges it for an HttpOnly cookie; pictures and the WebSocket cannot carry
 * a header, and a cookie that scripts cannot read is safer than a token in the page's storage.
 */
export function TokenDialog() {
  const locked = useStatus((s) => s.locked)
  const [token, setToken] = useState("")
  const [wrong, setWrong] = useState(false)
  const send = async (e: FormEvent) => {
    e.preventDefault()
    const answer = await fetch(`/?token=${encodeURIComponent(token.trim())}`, { headers: { Accept: "text/html" } }).catch(() => null)
    setWrong(!answer?.ok)
    if (answer?.ok) {
      setToken("")
      unlocked()
    }
  }
  return (
    <Dialog open={locked} title={t("token.title")}>
      <form onSubmit={(e) => void send(e)} className="space-y-3">
        <p className="text-muted">{t("token.detail")}</p>
        <label className="block space-y-1">
          <span>{t("token.label")}</span>
          <input type="password" autoComplete="off" value={token} required className="field" aria-invalid={wrong}
            onChange={(e) => setToken(e.target.value)} />
        </label>
        {wrong && <p role="alert" data-testid="error" className="text-bad">{t("token.wrong")}</p>}
        <Button type="submit" look="primary">{t("token.send")}</Button>
      </form>
    </Dialog>
  )
}
