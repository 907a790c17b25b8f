/**
 * What the node agent and the launcher say to each other: one JSON document a line over a unix socket. Requests carry
 * an id and are answered once, in any order; `exit` comes unasked.
 */

/** A process to start as a container. Everything is resolved: the launcher decides nothing. */
export interface StartSpec {
  /** 64 hex digits; the first 12 name the data directory. */
  readonly id: string
  readonly podUid: string
  readonly container: string
  readonly attempt: number
  readonly argv: readonly string[]
  readonly cwd: string
  readonly env: Readonly<Record<string, string>>
  readonly logPath: string
  readonly uid?: number
  readonly gid?: number
  readonly exec: ExecContext
  /** An idle interpreter may become this process instead of a new one: same outcome, sooner. */
  readonly warm?: WarmStart
  /** Set for a container with a root of its own: its first process is the keeper of the program. */
  readonly kept?: KeptSpec
  /** Files `cgroup.procs` that the process is written to once it runs; for those that enter by themselves see `kept`. */
  readonly limits?: LimitsSpec
}

/** How the end of a kept container is told, and what its limits are. */
export interface KeptSpec {
  /** Written by the keeper when the program has ended: a siginfo. */
  readonly endPath: string
  /** What SIGTERM means to it: the image's own stop signal. */
  readonly stopSignal?: string
}

/** The cgroups of a container. */
export interface LimitsSpec {
  /** Folders, removed when it has ended. */
  readonly folders: readonly string[]
  /** A file that counts processes killed because memory ran out, as `oom_kill N`. */
  readonly killsPath?: string
  /** Whether the launcher has to put the process there. */
  readonly enter: boolean
}

/** How an idle interpreter becomes a container; the rest is as in StartSpec. */
export interface WarmStart {
  /** Where the idle interpreter must be, as `warm` named it. */
  readonly place: string
  /** The program's file as the command line names it. */
  readonly entry: string
  readonly args: readonly string[]
  /** Node's own flags, of those that can be set later. */
  readonly execArgv: readonly string[]
}

/** What the launcher tells an idle interpreter, one line on descriptor 3. */
export interface Specialisation {
  readonly cwd: string
  readonly env: Readonly<Record<string, string>>
  readonly logPath: string
  readonly entry: string
  readonly args: readonly string[]
  readonly execArgv: readonly string[]
}

/** What a later command inside the container needs; kept for a successor of the control plane. */
export interface ExecContext {
  readonly rootfs: string
  readonly cwd: string
  readonly path: string
  readonly env: Readonly<Record<string, string>>
  /** Begins the command line of whatever runs beside the container. */
  readonly enter: readonly string[]
  /** True: the container sees mounts of its own. */
  readonly hasView: boolean
  readonly user?: {
    readonly uid: number
    readonly gid?: number
    /** Further groups, at least one. */
    readonly groups?: readonly number[]
  }
  /** What `attach` needs. */
  readonly streams?: StreamContext
  /** It has a root file system of its own (sandbox/). Then `rootfs`, `path`, `enter` and `user` mean nothing. */
  readonly root?: EnterRecord
}

/** What it takes to enter a container that has a root of its own. */
export interface EnterRecord {
  readonly machine: 'x64' | 'arm64'
  /** Where the container's files and instructions lie. */
  readonly folder: string
  readonly userNamespace: boolean
  readonly network: boolean
  /** Files `cgroup.procs`. */
  readonly cgroups: readonly string[]
  readonly cgroupNamespace: boolean
  readonly workingDir: string
  readonly credentials: {
    readonly uid: number
    readonly gid: number
    readonly groups: readonly number[]
    readonly capabilities: readonly number[]
    readonly lastCapability: number
    readonly noNewPrivileges: boolean
    /** System calls are filtered as by default. */
    readonly filtered: boolean
  }
}

/** Where the input and output of a container's program are. */
export interface StreamContext {
  /** All its output. */
  readonly logPath: string
  /** A named pipe that is its input; the launcher keeps it open. */
  readonly inputPath?: string
  /** Its input ends with the first that has attached. */
  readonly once?: boolean
  /** It is `script`, which runs the program on a terminal (terminal.ts). */
  readonly tty?: boolean
}

/** How a container ended. `reason` is Kubernetes' word. */
export interface ExitRecord {
  readonly exitCode: number
  readonly signal?: number
  readonly reason: string
  readonly message?: string
  readonly finishedAtMs: number
}

export interface ContainerRecord {
  readonly id: string
  readonly container: string
  readonly attempt: number
  readonly pid: number
  /** Field 22 of /proc/<pid>/stat: with the pid and the boot it names a process for good. */
  readonly startTicks: string
  readonly startedAtMs: number
  readonly exec: ExecContext
  /** It was an idle interpreter before. */
  readonly warm?: boolean
  /** The process that keeps it: `pid` is the program's. */
  readonly keeper?: { readonly pid: number; readonly startTicks: string }
  readonly kept?: KeptSpec
  readonly limits?: LimitsSpec
  /** Set when it could not be started: the step of its instructions, and the error. */
  readonly failed?: { readonly address: number; readonly error: number }
  readonly exit?: ExitRecord
}

/** The network of a pod, kept by the launcher so that it outlives the control plane. */
export interface SandboxRecord {
  readonly podUid: string
  readonly podIP: string
  readonly hostPorts?: Readonly<Record<number, number>>
  /** Name of the network namespace. */
  readonly netns?: string
  /** What its programs read as the machine's name. */
  readonly hostname?: string
}

export interface PodRecord {
  readonly podUid: string
  readonly sandbox?: SandboxRecord
  readonly containers: readonly ContainerRecord[]
}

export type Request =
  | { readonly op: 'start'; readonly spec: StartSpec }
  | { readonly op: 'signal'; readonly container: string; readonly signal: string }
  /** Runs a command to its end and answers code and output. */
  | { readonly op: 'run'; readonly run: RunSpec }
  | { readonly op: 'sandbox'; readonly sandbox: SandboxRecord }
  /** Lets go of a container's input: it ends once nobody else has it open. */
  | { readonly op: 'end-input'; readonly container: string }
  | { readonly op: 'list' }
  /** Keeps one more idle interpreter, started by this command line, until a start takes it. */
  | { readonly op: 'warm'; readonly place: string; readonly argv: readonly string[] }
  /** Ends the idle interpreters of a place; all of them when none is named. */
  | { readonly op: 'cool'; readonly place?: string }
  /** How many idle interpreters are ready to be taken. */
  | { readonly op: 'idle' }
  /** The pod is gone: ends what is left of it and drops its record. */
  | { readonly op: 'forget'; readonly podUid: string }
  /** What to run as the last thing before the launcher ends, whyever it ends: removes networks. */
  | { readonly op: 'at-end'; readonly run: RunSpec }
  /** TERM to everything, KILL after the grace; then the launcher ends. */
  | { readonly op: 'stop'; readonly graceMs: number }

export interface RunSpec {
  readonly argv: readonly string[]
  readonly cwd?: string
  readonly env?: Readonly<Record<string, string>>
  readonly input?: string
  readonly timeoutMs: number
  readonly limitBytes: number
  readonly uid?: number
  readonly gid?: number
}

export interface RunResult {
  /** 124 when it ran out of time, 126 or 127 when it could not be started. */
  readonly exitCode: number
  readonly output: string
}

export type ToLauncher = { readonly id: number } & Request

export type FromLauncher =
  | {
      readonly type: 'hello'
      readonly pid: number
      readonly pods: readonly PodRecord[]
      /** It is ending, pods and all: wait until it is gone and start another. */
      readonly stopping: boolean
    }
  | {
      readonly type: 'answer'
      readonly id: number
      readonly result?: unknown
      readonly error?: string
    }
  | { readonly type: 'exit'; readonly podUid: string; readonly container: ContainerRecord }

/** Longest line either side accepts; more means the other side is not what it should be. */
export const maxLineBytes = 16 << 20
