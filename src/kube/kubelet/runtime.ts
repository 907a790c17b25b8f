/**
 * Runs the containers of pods. One interface, one contract suite (`runtime.contract.ts`); `process` is the first
 * implementation. The node agent (kubelet.ts) decides what to run, when to restart and how to report; a runtime only does.
 */
import type { Duplex, Readable, Writable } from 'node:stream'
import type { Keyring } from '../../image/registry/credentials.ts'

/** Where a pod's containers run: its network. Made before its first container, removed after its last. */
export interface Sandbox {
  readonly podUid: string
  /** Address under which the pod's ports are reached from this machine. */
  readonly podIP: string
  /**
   * Undefined when the pod has an address of its own (its ports are what they are). Otherwise pods share the machine's
   * loopback, and this maps a container port to the port the program was told to use by PORT.
   */
  readonly hostPorts?: Readonly<Record<number, number>>
}

export interface SandboxSpec {
  readonly podUid: string
  readonly namespace: string
  readonly name: string
  /** Ports the pod's containers declare, for runtimes that must hand out others. */
  readonly ports: readonly number[]
  /** Its containers' images as the pod names them, for runtimes that prepare for what they have seen before. */
  readonly images?: readonly string[]
  /** What the pod's programs read as the machine's name: the pod's `hostname`, else its name. Absent = the name. */
  readonly hostname?: string
  /** Its containers see each other's processes. */
  readonly shareProcessNamespace?: boolean
}

/** A container to start, with everything resolved: no references are left. */
export interface ContainerSpec {
  readonly podUid: string
  readonly namespace: string
  readonly podName: string
  readonly container: string
  /** How often it was started before in this pod; names the log file. */
  readonly attempt: number
  readonly image: ImageHandle
  /** Whole command line; the image's entrypoint and command already applied. */
  readonly command: readonly string[]
  readonly workingDir: string
  readonly env: Readonly<Record<string, string>>
  /** Files to place before the start: volumes, already projected. Path inside the container -> host path. */
  readonly mounts: readonly ContainerMount[]
  readonly user?: { readonly uid: number; readonly gid?: number }
  /** What it may take of the machine. Absent = as much as there is. */
  readonly resources?: ContainerResources
  /** What the pod says about users and privileges. Absent = nothing. */
  readonly security?: ContainerSecurity
  /** Whose processes it sees besides its own: all of its pod's, or those of one container of the pod, by name. */
  readonly processes?: 'pod' | { readonly of: string }
  /** Its standard input stays open for `attach`; `once`: until the first that attached has left. Absent = empty. */
  readonly stdin?: 'open' | 'once'
  /** It runs on a terminal of its own: its output is one stream. */
  readonly tty?: boolean
  /** Whether it runs in a root file system of its own, where the runtime has the choice. Absent = as the image is. */
  readonly ownRoot?: boolean
  /** False: always a new process, even where the runtime has one started ahead. */
  readonly warm?: boolean
  readonly logPath: string
}

/** A file or folder of the machine that a container finds at a path of its own. */
export interface ContainerMount {
  readonly path: string
  readonly hostPath: string
  readonly readOnly: boolean
  /**
   * What every container gets without asking: hosts, resolv.conf, the token of the default account. A program that
   * shares the machine's files does without these, unless it is given a view of its own anyway.
   */
  readonly implied?: boolean
}

/** Limits and requests of a container, where the pod states them. */
export interface ContainerResources {
  readonly memoryLimitBytes?: number
  /** Thousandths of a core. */
  readonly cpuLimitMillis?: number
  readonly cpuRequestMillis?: number
}

/** The securityContext of a container with its pod's merged in; only what they say. */
export interface ContainerSecurity {
  readonly runAsUser?: number
  readonly runAsGroup?: number
  /** Further groups: the pod's fsGroup and supplementalGroups. */
  readonly groups?: readonly number[]
  readonly privileged?: boolean
  readonly allowPrivilegeEscalation?: boolean
  readonly readOnlyRootFilesystem?: boolean
  /** Without `CAP_`. */
  readonly addCapabilities?: readonly string[]
  readonly dropCapabilities?: readonly string[]
  /** Absent = what the runtime does by default. `Localhost` names a profile, a file on this machine. */
  readonly seccomp?: {
    readonly type: 'RuntimeDefault' | 'Unconfined' | 'Localhost'
    readonly localhostProfile?: string
  }
}

/** An image that is present and unpacked. */
export interface ImageHandle {
  /** Set when it was fetched for this very request. */
  readonly pulled?: { readonly tookMs: number; readonly sizeBytes: number }
  /** As the pod named it. */
  readonly reference: string
  /** `<repo>@sha256:…` as shown in `containerStatuses[].imageID`. */
  readonly imageID: string
  readonly rootfs: string
  readonly config: {
    readonly entrypoint: readonly string[]
    readonly cmd: readonly string[]
    readonly env: Readonly<Record<string, string>>
    readonly workingDir: string
    readonly user: string
    readonly stopSignal: string
    readonly exposedPorts: readonly number[]
    /** Folders of data that the image declares; absent = none. */
    readonly volumes?: readonly string[]
    /** Absent = not known. */
    readonly labels?: Readonly<Record<string, string>>
  }
}

export interface ContainerExit {
  readonly exitCode: number
  /** Number of the signal that ended it, if one did. */
  readonly signal?: number
  /** `Completed`, `Error`, `OOMKilled`, `StartError`. */
  readonly reason: string
  /** Why it could not be started, for StartError. */
  readonly message?: string
  readonly finishedAtMs: number
}

/** A started container. `id` is stable across a restart of the control plane. */
export interface Container {
  readonly id: string
  readonly podUid: string
  readonly container: string
  readonly attempt: number
  readonly pid: number
  readonly startedAtMs: number
  /** It began as a process that had been started ahead. */
  readonly warm?: boolean
  /** What of its specification this machine can't do, in a sentence for its user. */
  readonly limitation?: string
  /** Resolves when it has ended; also for containers found again by `recover`. */
  readonly exited: Promise<ContainerExit>
}

/** Size of a terminal, in characters. */
export interface TerminalSize {
  readonly width: number
  readonly height: number
}

/** The streams of a container's program while somebody looks on. */
export interface ContainerStreams {
  /** Absent where there is no input. Ending it is the end of the program's input. */
  readonly stdin?: Writable
  readonly stdout: Readable
  /** Absent on a terminal, which has one output. */
  readonly stderr?: Readable
  /** Tells the terminal its size; nothing where there is none. */
  resize(size: TerminalSize): void
  /** Looks away. A command that was started for these streams ends, a container's own program goes on. */
  close(): void
}

/** A command that runs inside a container. */
export interface RunningCommand extends ContainerStreams {
  /** Its exit code, when it has ended and its output has been handed over; 128 + n after signal n. */
  readonly exited: Promise<number>
}

export interface Runtime extends AsyncDisposable {
  /** `process`, `docker`. */
  readonly name: string
  /** `process://1.0`: shown in the Node's `containerRuntimeVersion`. */
  readonly version: string
  /** Address at which pods reach servers of this machine; absent = its loopback, which they share. */
  readonly hostIP?: string
  /** Its containers have files with the names of hosts already: only what a pod says of its own is put in their place. */
  readonly namesHosts?: boolean
  /** Programs of this image share the machine's files, so they get no implied mounts. Default: they do not. */
  sharesFiles?(image: ImageHandle): boolean
  createSandbox(spec: SandboxSpec): Promise<Sandbox>
  removeSandbox(podUid: string): Promise<void>
  /** Starts a container. A program that can't be executed ends with reason StartError rather than rejecting. */
  start(spec: ContainerSpec): Promise<Container>
  /** Sends a signal to the container's whole process group. Unknown ids are ignored. */
  signal(id: string, signal: 'SIGTERM' | 'SIGKILL' | 'SIGSTOP' | 'SIGCONT'): Promise<void>
  /** Is told how many programs are coming up at the moment: what can wait leaves them the processor. */
  comingUp?(count: number): void
  /** Memory that the container's processes have, in bytes, shared pages counted in part. Absent = not known. */
  memoryBytes?(id: string): Promise<number>
  /** Processor time that the container's processes have used, in nanoseconds. Absent = not known. */
  cpuNanos?(id: string): Promise<number>
  /** Runs a command inside the container and answers its exit code and output (at most `limitBytes`). */
  exec(
    id: string,
    command: readonly string[],
    options: { readonly timeoutMs: number; readonly limitBytes: number },
  ): Promise<{ readonly exitCode: number; readonly output: string }>
  /** Starts a command inside the container, with streams for as long as it runs. Rejects when it can't be started. */
  open?(
    id: string,
    command: readonly string[],
    options: {
      readonly stdin: boolean
      readonly tty: boolean
      /** Of its terminal, at the beginning. */
      readonly size?: TerminalSize
    },
  ): Promise<RunningCommand>
  /** The streams of the container's own program, output from now on. Rejects for an unknown id. */
  attach?(id: string): Promise<ContainerStreams>
  /** Connects to a port of the loopback of a pod's own network, where only programs of the pod get. */
  dialLoopback?(podUid: string, port: number): Promise<Duplex>
  /** What a previous control plane left running: sandboxes and containers, by pod uid. */
  recover(): Promise<
    readonly { readonly sandbox: Sandbox; readonly containers: readonly Container[] }[]
  >
}

/** On whose behalf an image is wanted, and who hears of it. */
export interface PullRequest {
  /** The pod's own credentials, asked for when a registry has to be asked. */
  readonly keys?: () => Promise<Keyring>
  /** A registry is about to be asked. */
  readonly onPulling?: () => void
  /** Ends the wait, not the pull. */
  readonly signal?: AbortSignal
}

/** Finds images by reference. Missing ones reject with ImageError. */
export interface Images {
  /** Pulls or finds the image and unpacks it if needed. */
  ensure(
    reference: string,
    policy: 'Always' | 'IfNotPresent' | 'Never',
    request?: PullRequest,
  ): Promise<ImageHandle>
  /** The digest a tag points to now, `<fully qualified repo>@sha256:…`, for Knative's tag resolution. */
  resolve(reference: string, keys?: () => Promise<Keyring>): Promise<string>
  /** Whether it could be started without asking anybody; default: whether it resolves. */
  isPresent?(reference: string): Promise<boolean>
  /** Calls back when there may be an image that was missing before. */
  onTagged?(listener: () => void): Disposable
}

/** Why an image is not there, with Kubernetes' waiting reason. */
export class ImageError extends Error {
  override readonly name = 'ImageError'
  readonly reason: 'ErrImagePull' | 'ErrImageNeverPull' | 'InvalidImageName'

  constructor(reason: ImageError['reason'], message: string) {
    super(message)
    this.reason = reason
  }
}
