/**
 * A connection to a Kubernetes API server with all that a program on it needs: client, informers, event recorder, clock,
 * chance and log. Finds the server as kubectl and client-go do: a kubeconfig file, else the pod it runs in.
 */
import { existsSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { systemClock, type Clock } from '../../../lib/clock.ts'
import { jsonLog, type Log } from '../../../lib/log.ts'
import { systemRandom, type Random } from '../../../lib/random.ts'
import type { Kind } from '../../api/kind.ts'
import { createInformers, type Informers } from '../informer.ts'
import { createRecorder, type Recorder } from '../recorder.ts'
import { typedClient, type TypedClient } from '../typed-client.ts'
import { httpApi } from './http-api.ts'
import { inClusterConfig } from './in-cluster.ts'
import { readKubeconfig, type Kubeconfig } from './kubeconfig.ts'

export interface ConnectOptions {
  /** The kubeconfig file to read. Absent: the files of KUBECONFIG, then the pod's account, then ~/.kube/config. */
  readonly kubeconfig?: string
  /** Of the kubeconfig; default: its current one. */
  readonly context?: string
  /** `process.env`: KUBECONFIG, HOME and KUBERNETES_SERVICE_* are looked at. */
  readonly env?: Readonly<Record<string, string | undefined>>
  /** The User-Agent, and so the name under which fields are managed; default `ebb-sdk`. */
  readonly name?: string
  /** Default: one JSON line an entry to stderr, from `info` on. */
  readonly log?: Log
  /** Default: the machine's own. */
  readonly clock?: Clock
  readonly random?: Random
  /** Kinds whose informers may find that the server does not have them; then there are no such objects. */
  readonly optional?: readonly Kind[]
}

/** Disposing ends the informers and all connections. It is what `startController` takes as its second argument. */
export interface Connection extends AsyncDisposable {
  readonly client: TypedClient
  readonly informers: Informers
  readonly recorder: Recorder
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
  /** `https://127.0.0.1:6443`. */
  readonly server: string
  /** Of the context, or of the pod. */
  readonly namespace: string
}

/** Objects a page of an informer's first list, as client-go asks. */
const pageSize = 500

/** Connects. Throws an Error that says where it looked when there is nothing to connect to; sends nothing yet. */
export async function connect(options: ConnectOptions = {}): Promise<Connection> {
  const { clock = systemClock, random = systemRandom, optional } = options
  const log =
    options.log ??
    jsonLog(
      (line) => void process.stderr.write(line),
      'info',
      () => clock.now(),
    )
  const { api: server, namespace } = await findServer(options, clock)
  const api = httpApi({ ...server, userAgent: options.name ?? 'ebb-sdk' })
  const client = typedClient(api, { user: { username: '', groups: [] }, durable: true })
  const informers = createInformers({ client, clock, log, pageSize, ...(optional && { optional }) })
  const recorder = createRecorder({ client, clock, random, log })
  return {
    client,
    informers,
    recorder,
    clock,
    random,
    log,
    server: server.server,
    namespace,
    async [Symbol.asyncDispose]() {
      await informers[Symbol.asyncDispose]()
      await recorder.flushed()
      await api[Symbol.asyncDispose]()
    },
  }
}

async function findServer(
  { kubeconfig, context, env = {} }: ConnectOptions,
  clock: Clock,
): Promise<Kubeconfig> {
  if (kubeconfig) return readKubeconfig(kubeconfig, context)
  const named = (env['KUBECONFIG'] ?? '').split(delimiter).filter(Boolean)
  const home = env['HOME'] ?? env['USERPROFILE']
  const usual = home ? [join(home, '.kube', 'config')] : []
  // Files of a list may be missing; of several the first is read: they are not merged.
  const file = named.find((path) => existsSync(path))
  if (file) return readKubeconfig(file, context)
  if (named.length > 0)
    throw new Error(`KUBECONFIG names ${named.join(', ')}, and there is no such file`)
  const inside = inClusterConfig(env, clock)
  if (inside) return inside
  for (const path of usual) if (existsSync(path)) return readKubeconfig(path, context)
  throw new Error(
    'there is no Kubernetes API to connect to: set KUBECONFIG (`ebb up` prints its path), or give `kubeconfig` or `env: process.env`',
  )
}
