import type { ComponentProps } from "react"
import { ariaKeys, shown } from "../actions/keys"
import type { Action } from "../actions/action"
import { useSituation } from "../actions/use-situation"
import { t } from "../lib/i18n"
import { Icon, type IconName } from "./icons"

type Look = "primary" | "plain" | "quiet" | "danger"

const looks: Record<Look, string> = {
  primary: "bg-accent text-on-accent hover:bg-accent-strong font-medium",
  plain: "border border-line bg-raised hover:border-line-strong",
  quiet: "text-muted hover:bg-sunken hover:text-ink",
  danger: "border border-line bg-raised text-bad hover:border-bad",
}

type ButtonProps = ComponentProps<"button"> & { look?: Look; icon?: IconName | undefined }

export function Button({ look = "plain", icon, className = "", children, ...rest }: ButtonProps) {
  return (
    <button type="button" {...rest}
      className={`inline-flex h-8 shrink-0 items-center justify-center gap-1.5 rounded-md px-3 text-sm whitespace-nowrap
        transition-colors disabled:pointer-events-none disabled:opacity-45 ${looks[look]} ${className}`}>
      {icon && <Icon name={icon} />}
      {children}
    </button>
  )
}

/** A button with a picture only; its label is said and shown on hover. */
export function IconButton({ label, icon, className = "", ...rest }: ButtonProps & { label: string; icon: IconName }) {
  return (
    <Button look="quiet" aria-label={label} title={label} {...rest} className={`!size-8 !px-0 ${className}`}>
      <Icon name={icon} />
    </Button>
  )
}

type ActionProps = { action: Action; look?: Look; icon?: IconName; className?: string; iconOnly?: boolean; testId?: string; pressed?: boolean; busy?: boolean }

/** ActionButton draws an action of the registry: label, key and whether it is possible now come from there. */
export function ActionButton({ action, look, icon, className, iconOnly = false, testId, pressed, busy = false }: ActionProps) {
  const now = useSituation()
  const label = t(action.label)
  const key = action.keys[0]
  const common = {
    "data-testid": testId,
    "aria-pressed": pressed,
    "aria-keyshortcuts": ariaKeys(action.keys),
    title: key ? `${label} (${shown(key)})` : label,
    "aria-busy": busy || undefined,
    disabled: busy || !action.enabled(now),
    onClick: () => action.perform(now),
    ...(look ? { look } : {}),
    ...(className ? { className } : {}),
  }
  if (iconOnly && icon) return <IconButton {...common} label={label} icon={icon} title={common.title} />
  return <Button {...common} icon={icon}>{label}</Button>
}
