/** What the open editor does with what is in it, so that a key or a sent edit can ask for it. Null while none is open. */
export const editing: { finish: (() => Promise<void>) | null } = { finish: null }
