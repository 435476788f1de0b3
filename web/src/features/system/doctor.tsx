import { useQuery } from "@tanstack/react-query"
import { doctor } from "../../api/gen/qie"
import { t } from "../../lib/i18n"
import { marks, worstFirst } from "./findings"

/** What `qie doctor` says, the worst first, each with its cause and the line that fixes it. */
export function Doctor() {
  const { data, isError } = useQuery({ queryKey: ["doctor"], queryFn: ({ signal }) => doctor({ signal }), staleTime: 0, retry: false })
  if (isError) return <p className="text-muted">{t("system.doctor.failed")}</p>
  if (!data) return null
  const tones = { ok: "text-good", warning: "text-warn", error: "text-bad" } as const
  return (
    <section data-testid="doctor">
      <h3 className="mb-1 text-xs font-medium text-muted">{t("system.doctor")}</h3>
      {data.findings.length === 0 && <p>{t("system.doctor.none")}</p>}
      <ul className="space-y-1">
        {worstFirst(data.findings).map((f) => (
          <li key={f.name} className="flex gap-2" data-level={f.level}>
            <span className={`font-mono ${tones[f.level]}`} aria-hidden="true">{marks[f.level]}</span>
            <span className="min-w-0">
              {f.title}
              {f.cause && <span className="block text-xs text-muted">{f.cause}</span>}
              {f.fix && <code className="block font-mono text-xs break-all select-all">{f.fix}</code>}
              {f.advice && <span className="block text-xs text-muted">{f.advice}</span>}
            </span>
          </li>
        ))}
      </ul>
    </section>
  )
}
