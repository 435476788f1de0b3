import { spawn, type ChildProcess } from "node:child_process"
import { once } from "node:events"
import { mkdtemp, readFile, rm } from "node:fs/promises"
import { createWriteStream, mkdirSync } from "node:fs"
import { tmpdir } from "node:os"
import { join, resolve } from "node:path"
import type { Job, State } from "../src/api/gen/qie"

const binary = resolve(import.meta.dirname, "../..", process.env["QIE_BIN"] ?? ".qie/bin/qie")
export const out = join(import.meta.dirname, "out")
export const photos = resolve(import.meta.dirname, "../../pyruntime/demo/testdata/photos")

type Instance = { pid: number; port: number; url: string }

/** The real program in a data folder of its own. */
export class Server {
  readonly home: string
  readonly url: string
  readonly port: number
  private child: ChildProcess

  private constructor(home: string, child: ChildProcess, instance: Instance) {
    this.home = home
    this.child = child
    this.url = `http://127.0.0.1:${instance.port}`
    this.port = instance.port
  }

  static async start(env: Record<string, string> = {}): Promise<Server> {
    const home = await mkdtemp(join(tmpdir(), "qie-e2e-"))
    const child = launch(home, 0, env)
    return new Server(home, child, await instanceOf(home, child))
  }

  async state(): Promise<State> {
    const response = await fetch(`${this.url}/api/v1/state`)
    return (await response.json()) as State
  }

  async job(id: string): Promise<Job> {
    const response = await fetch(`${this.url}/api/v1/jobs/${id}`)
    return (await response.json()) as Job
  }

  async ready(): Promise<void> {
    await until("qie is ready", async () => (await fetch(`${this.url}/readyz`)).ok, 90_000)
  }

  /** killAndRestart is a crash: no goodbye, and the same port afterwards. */
  async killAndRestart(pause: () => Promise<void>): Promise<void> {
    const gone = once(this.child, "exit")
    this.child.kill("SIGKILL")
    await gone
    await pause()
    this.child = launch(this.home, this.port, {})
    await instanceOf(this.home, this.child)
  }

  async stop(): Promise<void> {
    if (this.child.exitCode === null && this.child.signalCode === null) {
      const gone = once(this.child, "exit")
      this.child.kill("SIGTERM")
      await Promise.race([gone, new Promise((done) => setTimeout(done, 15_000))])
      this.child.kill("SIGKILL")
    }
    await rm(this.home, { recursive: true, force: true })
  }
}

function launch(home: string, port: number, extra: Record<string, string>): ChildProcess {
  mkdirSync(out, { recursive: true })
  const env = { ...process.env, QIE_HOME: home, PORT: String(port), HOST: "127.0.0.1", QIE_DEVICE: "cpu", ...extra }
  const child = spawn(binary, ["serve"], { env, cwd: home, stdio: ["ignore", "pipe", "pipe"] })
  const log = createWriteStream(join(out, "qie.log"), { flags: "a" })
  child.stdout?.pipe(log)
  child.stderr?.pipe(log)
  return child
}

async function instanceOf(home: string, child: ChildProcess): Promise<Instance> {
  let found: Instance | null = null
  await until("qie tells its address", async () => {
    if (child.exitCode !== null) throw new Error(`qie ended with ${child.exitCode}; see e2e/out/qie.log`)
    const text = await readFile(join(home, "run", "instance.json"), "utf8").catch(() => "")
    const instance = text ? (JSON.parse(text) as Instance) : null
    if (!instance || instance.pid !== child.pid || !instance.port) return false
    found = instance
    return (await fetch(`http://127.0.0.1:${instance.port}/healthz`)).ok
  })
  if (!found) throw new Error("no instance")
  return found
}

/** until waits for a condition, never for a length of time. */
export async function until(what: string, holds: () => Promise<boolean>, limit_ms = 60_000): Promise<void> {
  const end = Date.now() + limit_ms
  for (;;) {
    const ok = await holds().catch((error: unknown) => {
      if (error instanceof Error && error.message.startsWith("qie ended")) throw error
      return false
    })
    if (ok) return
    if (Date.now() > end) throw new Error(`waited ${limit_ms / 1000} s for: ${what}`)
    await new Promise((next) => setTimeout(next, 100))
  }
}
