/**
 * Flags and environment become one typed value here, once; nothing else reads `process.env`. Also the layout of a
 * platform's data directory.
 */
import { createHash } from 'node:crypto'
import { homedir, tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import type { OidcOptions } from '../kube/apiserver/access/oidc.ts'

export interface Address {
  readonly host: string
  /** 0 = any free port. */
  readonly port: number
}

/** Where something is to be served that may be elsewhere too. */
export interface WantedAddress extends Address {
  /** Nobody asked for this very port: any free one will do when it is taken. */
  readonly fallback?: boolean
}

export interface PlatformConfig {
  readonly dataDir: string
  readonly api: Address
  readonly gateway: Address
  /** Undefined = no TLS. */
  readonly gatewayTls: WantedAddress | undefined
  /** Where the gateway tells its metrics; undefined = nowhere. */
  readonly metrics: WantedAddress | undefined
  /** Domain suffix of public URLs; undefined = keep what config-domain says, `localhost` at first. */
  readonly domain?: string
  readonly runtime: 'auto' | 'process' | 'docker'
  /** Containers may be privileged where the runtime can make them so. Default false. */
  readonly allowPrivileged?: boolean
  /** The environment's words on where Docker is. */
  readonly dockerEnvironment?: Readonly<Record<string, string | undefined>>
  readonly network: 'auto' | 'namespaces' | 'host'
  /** False: API, workloads and node agent only. */
  readonly knative: boolean
  /** Node processes kept started and idle for pods to come; 0 = none. */
  readonly warmInterpreters: number
  readonly logLevel: 'debug' | 'info' | 'error'
  /** Where images are pushed to; undefined = nowhere. */
  readonly registry?: WantedAddress | undefined
  /** Default: what the environment says. */
  readonly registries?: RegistryEnvironment
  /** Who may reach the API, and what is written down of it. */
  readonly access?: AccessFlags
  /** Threads of the gateway that serve. Default 1. */
  readonly gatewayWorkers?: number
}

/** Flags about the callers of the API. */
export interface AccessFlags {
  /** File that gets a line of JSON for each request. */
  readonly auditLog?: string
  /** File with a Policy of audit.k8s.io/v1; absent = every request, without bodies. */
  readonly auditPolicy?: string
  /** File with lines `token,user,uid,"group1,group2"`. */
  readonly tokenFile?: string
  readonly oidc?: Omit<OidcOptions, 'ca'> & { readonly caFile?: string }
}

/** What of flags and environment concerns registries. */
export interface RegistryEnvironment {
  /** No registry is asked, whatever else is configured. */
  readonly offline?: boolean
  /** A `registries.yaml`, for as long as config-registries names no registries. */
  readonly file?: string
  /** Folder of Docker's `config.json`. */
  readonly dockerConfigFolder: string
  /** The environment's proxy settings. */
  readonly proxy: Readonly<Record<string, string | undefined>>
}

const proxyNames = [
  'HTTP_PROXY',
  'HTTPS_PROXY',
  'NO_PROXY',
  'http_proxy',
  'https_proxy',
  'no_proxy',
]

export const registryEnvironment = (): RegistryEnvironment => ({
  dockerConfigFolder: process.env['DOCKER_CONFIG'] || join(homedir(), '.docker'),
  proxy: Object.fromEntries(
    proxyNames.flatMap((name) => (process.env[name] ? [[name, process.env[name]]] : [])),
  ),
})

const dockerNames = [
  'DOCKER_HOST',
  'CONTAINER_HOST',
  'DOCKER_CONFIG',
  'DOCKER_CONTEXT',
  'DOCKER_TLS_VERIFY',
  'XDG_RUNTIME_DIR',
]

export const dockerEnvironment = (): Readonly<Record<string, string | undefined>> =>
  Object.fromEntries(dockerNames.map((name) => [name, process.env[name]]))

/** Whom SinkBindings bind, as Knative's webhook is told it. Throws when it is neither of both. */
export function sinkBindingSelection(): 'exclusion' | 'inclusion' {
  const mode = process.env['SINK_BINDING_SELECTION_MODE'] || 'exclusion'
  if (mode === 'exclusion' || mode === 'inclusion') return mode
  throw new Error(`SINK_BINDING_SELECTION_MODE: expected exclusion or inclusion, found "${mode}"`)
}

/** SOURCE_DATE_EPOCH in seconds (reproducible-builds.org); undefined when it is not set. Throws when it is no number. */
export function sourceDateEpochS(): number | undefined {
  const text = process.env['SOURCE_DATE_EPOCH']
  if (text === undefined || text === '') return undefined
  if (!/^\d{1,11}$/.test(text))
    throw new Error(`SOURCE_DATE_EPOCH: expected seconds since 1970, found "${text}"`)
  return Number(text)
}

export const defaultApi = '127.0.0.1:6443'
export const defaultGateway = '127.0.0.1:8080'

/** The data directory that a command means: the flag, EBB_DATA_DIR, `~/.ebb`. */
export const dataDirOf = (flag: string | undefined): string =>
  resolve(flag ?? process.env['EBB_DATA_DIR'] ?? join(homedir(), '.ebb'))

/** `HOST:PORT`, `[::1]:PORT` or `PORT`. Throws with what was found and expected. */
export function parseAddress(text: string, flag: string): Address {
  const match = /^(?:(\[[0-9a-fA-F:.]+\]|[^:[\]]*):)?(\d{1,5})$/.exec(text)
  const port = Number(match?.[2])
  if (!match || port > 65_535)
    throw new Error(`--${flag}: expected HOST:PORT, for example 127.0.0.1:8080, found "${text}"`)
  return { host: (match[1] ?? '127.0.0.1').replace(/^\[|\]$/g, '') || '127.0.0.1', port }
}

/** `HOST:PORT` or `off`; without a flag, beside the gateway's port: 443 for 80, else 8443. */
export function parseTlsAddress(
  text: string | undefined,
  gateway: Address,
): WantedAddress | undefined {
  if (text === 'off') return undefined
  if (text !== undefined) return parseAddress(text, 'gateway-tls')
  const { host, port } = gateway
  return { host, port: port === 0 ? 0 : port === 80 ? 443 : 8443, fallback: true }
}

/** `HOST:PORT` or `off`; without a flag port 9090 of this machine alone, where Knative's components have theirs. */
export function parseMetricsAddress(
  text: string | undefined,
  gateway: Address,
): WantedAddress | undefined {
  if (text === 'off') return undefined
  if (text !== undefined) return parseAddress(text, 'metrics')
  return { host: '127.0.0.1', port: gateway.port === 0 ? 0 : 9090, fallback: true }
}

/** `HOST:PORT` or `off`; without a flag, port 5000 of this machine, as registries have it. */
export function parseRegistryAddress(
  text: string | undefined,
  gateway: Address,
): WantedAddress | undefined {
  if (text === 'off') return undefined
  if (text !== undefined) return parseAddress(text, 'registry')
  return { host: '127.0.0.1', port: gateway.port === 0 ? 0 : 5000, fallback: true }
}

/** Host and port as they stand in a URL. */
export const addressText = ({ host, port }: Address): string =>
  `${host.includes(':') ? `[${host}]` : host}:${port}`

/** Where everything of a platform lies. */
export interface Layout {
  readonly dataDir: string
  readonly database: string
  readonly certificates: string
  readonly endpoints: string
  readonly kubeconfig: string
  readonly log: string
  readonly controlSocket: string
  readonly gatewaySocket: string
  readonly launcherSocket: string
  readonly gatewayLog: string
  readonly eventSocket: string
  readonly eventLog: string
  /** Events of Brokers and channels. */
  readonly events: string
  /** Programs of the small processes, without types. */
  readonly programs: string
}

/** Unix socket paths are limited to 107 bytes: a data directory too deep for that gets its sockets in the temp folder. */
export function layoutOf(dataDir: string): Layout {
  const hash = createHash('sha256').update(dataDir).digest('hex').slice(0, 12)
  const inside = join(dataDir, 'run')
  const sockets = inside.length > 80 ? join(tmpdir(), `ebb-${hash}`) : inside
  return {
    dataDir,
    database: join(dataDir, 'store.db'),
    certificates: join(dataDir, 'certificates'),
    endpoints: join(dataDir, 'endpoints.json'),
    kubeconfig: join(dataDir, 'kubeconfig'),
    log: join(dataDir, 'log', 'ebb.log'),
    controlSocket: join(sockets, 'control.sock'),
    gatewaySocket: join(sockets, 'gateway.sock'),
    launcherSocket: join(sockets, 'launcher.sock'),
    gatewayLog: join(dataDir, 'log', 'gateway.log'),
    eventSocket: join(sockets, 'events.sock'),
    eventLog: join(dataDir, 'log', 'events.log'),
    events: join(dataDir, 'events'),
    programs: join(inside, 'bin'),
  }
}
