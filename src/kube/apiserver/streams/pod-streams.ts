/**
 * What the API server asks of the node agent for exec, attach and port-forward: the streams of a command, of a container's
 * own program, and of a connection to a port. The shapes are those of `kubelet/runtime.ts`.
 */
import type { Duplex, Readable, Writable } from 'node:stream'
import type { UnknownObject } from '../../api/meta.ts'

/** Size of a terminal, in characters. */
export interface TerminalSize {
  readonly width: number
  readonly height: number
}

/** The streams of a program while somebody looks on. */
export interface ProgramStreams {
  /** Absent where there is no input. Ending it is the end of the program's input. */
  readonly stdin?: Writable
  readonly stdout: Readable
  /** Absent on a terminal, and where both outputs are one. */
  readonly stderr?: Readable
  resize(size: TerminalSize): void
  /** Looks away: a command that was started for these streams ends, a container's own program goes on. */
  close(): void
}

export interface RunningCommand extends ProgramStreams {
  /** Its exit code, when it has ended and its output has been handed over; 128 + n after signal n. */
  readonly exited: Promise<number>
}

/** Streams into pods. All reject with StatusError where the container does not run, else with what went wrong. */
export interface PodStreams {
  /** Starts a command in a running container. */
  exec(
    pod: UnknownObject,
    container: string,
    command: readonly string[],
    options: {
      readonly stdin: boolean
      readonly tty: boolean
      /** Of its terminal, at the beginning. */
      readonly size?: TerminalSize
    },
  ): Promise<RunningCommand>
  /** The streams of the container's own program, output from now on; they end with it. */
  attach(pod: UnknownObject, container: string): Promise<ProgramStreams>
  /** Connects to a port of the pod. */
  dial(pod: UnknownObject, port: number): Promise<Duplex>
}

/** For a server that listens before the node agent is there: whoever comes early waits. */
export const awaited = (streams: Promise<PodStreams>): PodStreams => ({
  exec: async (...args) => await (await streams).exec(...args),
  attach: async (...args) => await (await streams).attach(...args),
  dial: async (...args) => await (await streams).dial(...args),
})
