import { Fragment } from "react"
import { shown } from "../../actions/keys"
import { actions } from "../../actions/registry"
import { t } from "../../lib/i18n"
import { useUi } from "../../lib/ui-store"
import { Dialog } from "../../ui/dialog"

const groups = ["group.edit", "group.result", "group.tree", "group.view", "group.mask", "group.crop"] as const

/** Every action of the registry with its key. */
export function HelpPanel() {
  const open = useUi((ui) => ui.panel === "help")
  const singleKeys = useUi((ui) => ui.singleKeys)
  return (
    <Dialog open={open} onClose={() => useUi.setState({ panel: null })} title={t("help.title")}>
      <div className="space-y-4">
        {groups.map((group) => (
          <section key={group}>
            <h3 className="mb-1 text-xs font-medium text-muted">{t(group)}</h3>
            <dl className="grid grid-cols-[1fr_auto]">
              {actions.filter((action) => action.group === group).map((action) => (
                <Fragment key={action.name}>
                  <dt className="border-b border-line py-0.5">{t(action.label)}</dt>
                  <dd className="border-b border-line py-0.5 text-right">
                    {action.keys.map((key) => <Key key={key} text={shown(key)} />)}
                  </dd>
                </Fragment>
              ))}
              {group === "group.view" && (
                <>
                  <dt className="border-b border-line py-0.5">{t("action.peek")}</dt>
                  <dd className="border-b border-line py-0.5 text-right"><Key text="\" /></dd>
                </>
              )}
            </dl>
          </section>
        ))}
        <p className="text-muted">{t("help.compare")}</p>
        <label className="flex items-start gap-3">
          <input type="checkbox" checked={singleKeys} className="mt-0.5 size-4 accent-(--accent)"
            onChange={(e) => useUi.setState({ singleKeys: e.target.checked })} />
          <span>{t("help.single")}<br /><span className="text-muted">{t("help.single.detail")}</span></span>
        </label>
      </div>
    </Dialog>
  )
}

function Key({ text }: { text: string }) {
  return <kbd className="rounded border border-line bg-sunken px-1.5 py-0.5 font-mono text-xs">{text}</kbd>
}
