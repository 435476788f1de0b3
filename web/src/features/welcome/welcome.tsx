import { useState, type CSSProperties } from "react"
import { trySample } from "../../actions/commands"
import { pick } from "../../actions/edit"
import { t } from "../../lib/i18n"
import { samples, type Sample } from "../../lib/samples"
import { ActionButton, Button } from "../../ui/button"
import { Icon } from "../../ui/icons"
import { SampleCompare } from "../stage/compare"

/** The first screen: what qie does, shown on a sample, and where the own photo goes. It needs no worker. */
export function Welcome() {
  const [shown, setShown] = useState(0)
  const sample = samples[shown]
  return (
    <div data-testid="welcome" className="min-h-0 flex-1 lg:flex lg:overflow-y-auto">
      <div className="flex flex-col gap-4 p-4 lg:m-auto lg:h-full lg:max-h-[40rem] lg:min-h-fit lg:w-full lg:max-w-6xl lg:flex-row">
        {sample && <Shown sample={sample} onChoose={setShown} />}
        <div className="flex flex-col items-center justify-center gap-3 rounded-2xl border border-dashed border-line-strong px-6 py-6 text-center lg:w-72 lg:shrink-0 xl:w-80">
          <span className="grid size-12 place-items-center rounded-full bg-accent-soft text-accent max-lg:hidden"><Icon name="image" className="size-6" /></span>
          <div className="space-y-1">
            <p className="text-lg font-medium">{t("source.drop")}</p>
            <p className="text-muted">{t("source.how")}</p>
          </div>
          <ActionButton action={pick} look="primary" />
          <p className="text-xs text-muted">{t("source.types")}</p>
          <p className="text-xs text-muted">{t("app.tagline")}</p>
        </div>
      </div>
    </div>
  )
}

/** All samples have the size of the first, so that nothing moves when another is chosen. */
const sampleSize = { width: 768, height: 512 }
const ratio = { "--ratio": 3 / 2 } as CSSProperties

function Shown({ sample, onChoose }: { sample: Sample; onChoose: (i: number) => void }) {
  return (
    <figure className="flex min-w-0 flex-col gap-3 lg:min-h-72 lg:flex-1">
      <div className="grid aspect-3/2 w-full place-items-center [container-type:size] lg:aspect-auto lg:min-h-0 lg:flex-1">
        <div className="fit relative max-w-3xl overflow-hidden rounded-md bg-sunken shadow-lg" style={ratio}>
          <SampleCompare key={sample.name} size={sampleSize} before={sample.before} after={sample.after}
            beforeAlt={t("sample.before", { what: sample.alt })} afterAlt={t("sample.after", { what: sample.alt, prompt: sample.prompt })} />
        </div>
      </div>
      <figcaption className="flex flex-wrap items-center gap-x-4 gap-y-3">
        <ul className="flex gap-2" aria-label={t("sample.all")}>
          {samples.map((other, i) => (
            <li key={other.name}>
              <button type="button" aria-label={t("sample.show", { what: other.alt })} aria-pressed={other.name === sample.name} title={other.prompt}
                onClick={() => onChoose(i)}
                className={`block size-12 overflow-hidden rounded-md border-2 ${other.name === sample.name ? "border-accent" : "border-transparent hover:border-line-strong"}`}>
                <img src={other.after} alt="" draggable={false} className="size-full object-cover" />
              </button>
            </li>
          ))}
        </ul>
        <p className="min-w-44 flex-1">
          <span className="block font-medium">“{sample.prompt}”</span>
          <span className="text-xs text-muted">{t("sample.made")}</span>
        </p>
        <Button icon="edit" onClick={() => void trySample(sample)}>{t("sample.try")}</Button>
      </figcaption>
    </figure>
  )
}
