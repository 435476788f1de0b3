/** assertNever makes the compiler complain about a case that a switch forgot. */
export function assertNever(value: never): never {
  throw new Error(`unexpected ${JSON.stringify(value)}`)
}
