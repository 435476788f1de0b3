import { useQuery } from "@tanstack/react-query"
import { getSettings, getStorage, type Setting } from "../../api/gen/qie"
import { bytes } from "../../lib/format"
import { t } from "../../lib/i18n"

/** The settings in force, where each stands, and what waits for the next start. */
export function Settings() {
  const { data, isError } = useQuery({ queryKey: ["settings"], queryFn: ({ signal }) => getSettings({ signal }), staleTime: 0, retry: false })
  if (isError) return <p className="text-muted">{t("settings.failed")}</p>
  if (!data) return null
  return (
    <details data-testid="settings" open={Boolean(data.problem)}>
      <summary className="cursor-pointer text-xs font-medium text-muted">{t("settings.title")}</summary>
      {data.problem && <p role="status" className="mt-1 text-warn">{t("settings.problem", { problem: data.problem })}</p>}
      <dl className="mt-1 space-y-1">
        {data.settings.map((s) => (
          <div key={s.key} data-setting={s.key}>
            <dt><code className="font-mono text-xs">{s.key}</code></dt>
            <dd className="min-w-0 pl-4">
              <span className="break-all">{s.value || "–"}</span>
              <span className="block text-xs text-muted">{origin(s)}</span>
              {s.next && <span className="block text-xs text-warn">{t("settings.next", { value: s.next })}</span>}
            </dd>
          </div>
        ))}
      </dl>
    </details>
  )
}

function origin(s: Setting): string {
  const from = s.line ? t("settings.line", { from: s.from, line: s.line }) : s.from
  return [t("settings.from", { from }), s.live && t("settings.live"), s.note].filter(Boolean).join(" · ")
}

/** What jobs take on the disk, to the byte. */
export function StorageLine() {
  const { data } = useQuery({ queryKey: ["storage"], queryFn: ({ signal }) => getStorage({}, { signal }), staleTime: 0, retry: false })
  if (!data) return null
  const jobs = data.states.reduce((n, s) => n + s.jobs, 0)
  return (
    <>
      {t("storage.jobs", { n: jobs, size: bytes(data.bytes - data.originals.bytes) })}
      {data.originals.files > 0 && (
        <span className="block text-muted">{t("storage.originals", { n: data.originals.files, size: bytes(data.originals.bytes) })}</span>
      )}
    </>
  )
}
