/**
 * Idle interpreters: Node processes that have started and wait for the program they are to become (warm-interpreter.ts).
 * The node agent says how many and where; here they are started, started again when they die, and handed over. They are
 * no containers: they carry a mark of their own and end with the launcher.
 */
import { spawn, type ChildProcess } from 'node:child_process'
import { Duplex } from 'node:stream'
import type { Clock } from '../../../lib/clock.ts'
import { markName } from './proc.ts'
import type { Specialisation } from './protocol.ts'

/** Waits before an interpreter that died is started again: doubled each time it dies, from the first to the last. */
const backOffMs = { first: 1_000, last: 60_000 }
/** One that is not ready by then never will be, and is started again. */
const readyLimitMs = 30_000
/** More than anybody has a use for; more than that are not kept. */
const maxIdle = 64

interface Idle {
  readonly place: string
  readonly argv: readonly string[]
  failures: number
  child?: ChildProcess
  ready: boolean
  cancel?: () => void
}

export class WarmPool {
  readonly #clock: Clock
  readonly #mark: string
  readonly #idle = new Set<Idle>()

  constructor({ prefix, clock }: { readonly prefix: string; readonly clock: Clock }) {
    this.#clock = clock
    this.#mark = `${prefix}-idle`
  }

  /** How many can be taken now. */
  get ready(): number {
    return [...this.#idle].filter(({ ready }) => ready).length
  }

  /** Keeps one more interpreter at `place`, started by the command line `argv`. */
  add(place: string, argv: readonly string[]): void {
    if (this.#idle.size >= maxIdle) return
    const idle: Idle = { place, argv, failures: 0, ready: false }
    this.#idle.add(idle)
    this.#start(idle)
  }

  /** Ends the interpreters of a place; all when none is named. */
  remove(place?: string): void {
    for (const idle of this.#idle) {
      if (place !== undefined && idle.place !== place) continue
      this.#idle.delete(idle)
      idle.cancel?.()
      idle.child?.kill('SIGKILL')
    }
  }

  /** Hands over an interpreter of `place` that is ready, told what to become. Undefined when there is none. */
  take(place: string, specialisation: Specialisation): ChildProcess | undefined {
    for (const idle of this.#idle) {
      const { child } = idle
      if (idle.place !== place || !idle.ready || !child || !isRunning(child)) continue
      const channel = channelOf(child)
      if (!channel?.writable) continue
      this.#idle.delete(idle)
      child.removeAllListeners('exit')
      channel.end(`${JSON.stringify(specialisation)}\n`)
      return child
    }
    return undefined
  }

  #start(idle: Idle): void {
    const [file = '', ...args] = idle.argv
    const child = spawn(file, args, {
      cwd: '/',
      env: { [markName]: this.#mark },
      detached: true, // as a container's process is
      stdio: ['ignore', 'ignore', 'ignore', 'pipe'],
    })
    idle.child = child
    idle.ready = false
    const channel = channelOf(child)
    channel?.on('error', () => {})
    idle.cancel = this.#clock.after(readyLimitMs, () => child.kill('SIGKILL'))
    channel?.once('data', () => {
      idle.cancel?.()
      idle.ready = true
    })
    const again = () => {
      if (!this.#idle.has(idle) || idle.child !== child) return
      delete idle.child
      idle.cancel?.()
      idle.ready = false
      const waitMs = Math.min(backOffMs.first * 2 ** idle.failures++, backOffMs.last)
      idle.cancel = this.#clock.after(waitMs, () => this.#start(idle))
    }
    child.once('exit', again)
    child.on('error', () => child.pid === undefined && again())
  }
}

const isRunning = (child: ChildProcess): boolean =>
  child.exitCode === null && child.signalCode === null

function channelOf(child: ChildProcess): Duplex | undefined {
  const channel = child.stdio[3]
  return channel instanceof Duplex ? channel : undefined
}
