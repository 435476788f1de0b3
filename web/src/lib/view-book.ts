import { actualScale, carried, fitted, toScale, within, zoomed, type Frame, type Point, type View } from "./view"

type Watcher = (view: View) => void

/**
 * The one view of the stage: every pane that shows the picture draws it, so that before and after never part. It changes
 * many times a second and does not pass through React.
 */
export class ViewBook {
  private view: View = fitted
  private frame: Frame | null = null
  private readonly watchers = new Set<Watcher>()

  get(): View {
    return this.view
  }

  /** frameOf the pane that was measured last; those that show the picture together have one size. */
  lastFrame(): Frame | null {
    return this.frame
  }

  set(view: View): void {
    this.view = this.frame ? within(view, this.frame) : view
    for (const watcher of this.watchers) watcher(this.view)
  }

  watch(watcher: Watcher): () => void {
    this.watchers.add(watcher)
    watcher(this.view)
    return () => this.watchers.delete(watcher)
  }

  /** framed tells what the view is seen with now. */
  framed(frame: Frame): void {
    const old = this.frame
    this.frame = frame
    this.set(old ? carried(this.view, old, frame) : fitted)
  }

  zoomBy(factor: number, at?: Point): void {
    if (this.frame) this.set(zoomed(this.view, this.frame, factor, at))
  }

  fit(): void {
    this.set(fitted)
  }

  actual(): void {
    if (this.frame) this.set(toScale(this.view, this.frame, actualScale(this.frame)))
  }
}

export const viewBook = new ViewBook()
