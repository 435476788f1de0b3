import { useState } from "react"
import { Icon } from "./icons"

type Props = { src: string; alt: string; className: string; lazy?: boolean }

/** A picture of the server, which can be dragged. One whose file is gone shows a quiet mark instead of the browser's broken one. */
export function Picture({ src, alt, className, lazy = false }: Props) {
  const [gone, setGone] = useState<string | null>(null)
  if (gone === src) {
    return (
      <span className={`grid place-items-center bg-sunken text-muted ${className}`}>
        <Icon name="image" className="size-5" />
        <span className="sr-only">{alt}</span>
      </span>
    )
  }
  return <img src={src} alt={alt} decoding="async" loading={lazy ? "lazy" : "eager"} className={className} onError={() => setGone(src)} />
}
