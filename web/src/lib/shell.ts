/** keepShell lets the page open while qie is away, and be installed. Only the shell is kept: public/sw.js says what that is. */
export function keepShell(): void {
  if (import.meta.env.PROD && "serviceWorker" in navigator) {
    navigator.serviceWorker.register("/sw.js").catch(() => {}) // a server that wants its token first; the next visit asks again
  }
}
