/**
 * From a container's definition to what a runtime can start: image, environment, command line, user and volumes, with
 * nothing left to look up. Rejects with ImageError, ConfigError, MountError or MountsImpossible (start-failure.ts).
 */
import { join } from 'node:path'
import { ConfigMap } from '../../api/config-map.ts'
import type { Kind } from '../../api/kind.ts'
import type { KubeObject } from '../../api/meta.ts'
import type { Pod } from '../../api/pod.ts'
import { Secret } from '../../api/secret.ts'
import { isAccountVolume } from '../../api/service-account-volume.ts'
import type { Service } from '../../api/service.ts'
import { hasReason } from '../../api/status-error.ts'
import type { Client } from '../../client/client.ts'
import type { AccountTokens } from '../volumes/account-tokens.ts'
import { resourcesOf, securityOf } from '../process/container-limits.ts'
import type { ContainerDefinition } from './container-state.ts'
import { userOf } from './container-user.ts'
import { commandLine, envReferences, resolveEnv, type EnvWorld } from './env.ts'
import { asksForNames, etcMounts, hostnameOf } from './etc-files.ts'
import type {
  ContainerMount,
  ContainerSpec,
  ImageHandle,
  Images,
  PullRequest,
  Runtime,
  Sandbox,
} from '../runtime.ts'
import { serviceEnv, type ApiForPods } from './service-env.ts'
import { defaultTerminationPath, terminationMount } from '../logs/termination-message.ts'
import {
  prepareMounts,
  refreshFiles,
  type ClaimedFolder,
  type VolumeWorld,
} from '../volumes/volumes.ts'

export interface LaunchDeps {
  readonly client: Client
  readonly images: Images
  readonly hostIP: string
  readonly allocatable: Readonly<Record<string, string>>
  readonly dataDir: string
  readonly runtime: Pick<Runtime, 'sharesFiles' | 'namesHosts'>
  /** Absent = pods get no tokens. */
  readonly tokens?: AccountTokens
  /** Services of a namespace, for pods that want to find them in their environment. */
  readonly services?: (namespace: string) => readonly Service[]
  readonly apiForPods?: () => ApiForPods | undefined
  /** Folder of a PersistentVolumeClaim. Rejects with why it has none now. */
  readonly claim?: (namespace: string, name: string) => Promise<ClaimedFolder>
  /** Address of the DNS server for pods. */
  readonly clusterDNS?: () => string | undefined
  /** Is told of variables that could not be made of the keys of a source. */
  readonly onSkippedKeys?: EnvWorld['onSkipped']
}

/** `disabled` on a pod: its containers never begin as an idle interpreter (process-runtime.ts). */
const warmAnnotation = 'ebb.dev/warm-interpreter'

/** `true` or `false` on a pod: its containers have a root file system of their own, or none, whatever their images are. */
const ownRootAnnotation = 'ebb.dev/own-root'

function ownRootOf({ metadata }: Pod): Pick<ContainerSpec, 'ownRoot'> {
  const text = metadata.annotations?.[ownRootAnnotation]
  return text === 'true' || text === 'false' ? { ownRoot: text === 'true' } : {}
}

/** Everything of a start but its attempt and its log file. */
export type Launch = Omit<ContainerSpec, 'attempt' | 'logPath'>

export async function prepareLaunch(
  pod: Pod,
  definition: ContainerDefinition,
  sandbox: Sandbox,
  deps: LaunchDeps,
  request: PullRequest = {},
): Promise<Launch> {
  const { namespace = '', name: podName, uid: podUid = '' } = pod.metadata
  const find = <T extends KubeObject>(kind: Kind<T>, name: string) =>
    lookUp(deps.client, kind, namespace, name)
  const image = await deps.images.ensure(definition.image ?? '', pullPolicy(definition), request)
  const world = await worldOf(pod, definition, sandbox, deps, find)
  const user = userOf(pod, definition, image)
  const resources = resourcesOf(definition)
  const security = securityOf(pod, definition)
  const { command, env } = commandOf(definition, image, world, sandbox, deps)
  const { stdin, stdinOnce, tty } = definition
  return {
    podUid,
    namespace,
    podName,
    container: definition.name,
    image,
    command,
    env,
    workingDir: definition.workingDir || image.config.workingDir,
    mounts: await mountsOf(pod, definition, sandbox, deps, { image, env }),
    ...(user && { user }),
    ...(resources && { resources }),
    ...(security && { security }),
    ...(stdin && { stdin: stdinOnce ? 'once' : 'open' }),
    ...(tty && { tty }),
    ...processesOf(pod, definition),
    ...(pod.metadata.annotations?.[warmAnnotation] === 'disabled' && { warm: false }),
    ...ownRootOf(pod),
  }
}

/** The pod's, where they share; those of the container that an ephemeral one is to look at. */
function processesOf(pod: Pod, { name }: ContainerDefinition): Pick<Launch, 'processes'> {
  if (pod.spec.shareProcessNamespace) return { processes: 'pod' }
  const target = pod.spec.ephemeralContainers?.find((each) => each.name === name)
  return target?.targetContainerName ? { processes: { of: target.targetContainerName } } : {}
}

/** Where the node agent keeps what belongs to one pod. */
export const podFolder = (dataDir: string, podUid: string): string => join(dataDir, 'pods', podUid)

/** A variable or argument that says where something of the cluster is (`K_SINK`): the program will look the name up. */
const ofCluster = /\.svc(\.cluster\.local)?(?=[:/?\s,'"]|$)/

/** Somebody at the terminal of a container will call what is in the cluster, too. */
const callsCluster = (
  { command = [], args = [], tty, stdin }: ContainerDefinition,
  env: Readonly<Record<string, string>>,
): boolean =>
  Boolean(tty || stdin) ||
  [...command, ...args, ...Object.values(env)].some((value) => ofCluster.test(value))

/** Everything a container finds placed: volumes, names of hosts, the file for its last words. */
async function mountsOf(
  pod: Pod,
  definition: ContainerDefinition,
  sandbox: Sandbox,
  deps: LaunchDeps,
  { image, env }: { image: ImageHandle; env: Readonly<Record<string, string>> },
): Promise<readonly ContainerMount[]> {
  const shares = deps.runtime.sharesFiles?.(image) ?? false
  const volumeMounts = (definition.volumeMounts ?? []).filter(
    ({ name }) => !shares || !isImplied(pod, name, shares),
  )
  const { terminationMessagePath: lastWords = defaultTerminationPath } = definition
  // A view of its own costs a start its quickness: only for what the pod asks for itself.
  const asks =
    volumeMounts.length > 0 ||
    asksForNames(pod) ||
    callsCluster(definition, env) ||
    (lastWords !== defaultTerminationPath && lastWords !== '')
  if (shares && !asks) return []
  const folder = podFolder(deps.dataDir, pod.metadata.uid ?? '')
  const clusterDNS = deps.clusterDNS?.()
  const [volumes, etc, termination] = await Promise.all([
    prepareMounts(
      definition,
      join(folder, 'volumes'),
      { ...volumeWorld(pod, sandbox, deps), env },
      (name) => isImplied(pod, name, shares),
    ),
    etcMounts(pod, join(folder, 'etc'), {
      podIP: sandbox.podIP,
      ...(clusterDNS !== undefined && { clusterDNS }),
    }),
    terminationMount(definition, folder),
  ])
  const own = new Set(volumes.map(({ path }) => path))
  const names = etc.filter(
    ({ path, implied }) => !deps.runtime.namesHosts || !implied || path === '/etc/resolv.conf',
  )
  return [
    ...[...names, ...(termination ? [termination] : [])].filter(
      // What shares the machine's devices would leave a file among them.
      ({ path }) => !own.has(path) && !(shares && path.startsWith('/dev/')),
    ),
    ...volumes,
  ]
}

/**
 * The token of an account that nobody chose is of no use to most programs. One that shares the machine's files gets it
 * when the pod names an account or asks for the token, and where mounting is possible at all.
 */
function isImplied(pod: Pod, volume: string, shares: boolean): boolean {
  if (!isAccountVolume(volume)) return false
  if (shares && process.getuid?.() !== 0) return true
  const { serviceAccountName = 'default', automountServiceAccountToken: asked } = pod.spec
  return serviceAccountName === 'default' && asked !== true
}

/**
 * Writes the files of volumes anew, as ConfigMaps, Secrets, tokens and the pod are now. May be called while containers
 * run: what has changed appears at once, all of it together. Rejects with MountError or ConfigError.
 */
export async function refreshVolumes(
  pod: Pod,
  volumes: Iterable<string>,
  sandbox: Sandbox,
  deps: LaunchDeps,
): Promise<void> {
  const folder = podFolder(deps.dataDir, pod.metadata.uid ?? '')
  await refreshFiles(volumes, join(folder, 'volumes'), volumeWorld(pod, sandbox, deps))
}

function volumeWorld(
  pod: Pod,
  sandbox: Sandbox,
  { client, hostIP, allocatable, tokens, claim }: LaunchDeps,
): VolumeWorld {
  const { namespace = '' } = pod.metadata
  return {
    configMap: (name) => lookUp(client, ConfigMap, namespace, name),
    secret: (name) => lookUp(client, Secret, namespace, name),
    ...(tokens && { token: (request) => tokens.get(pod, request) }),
    ...(claim && { claim: (name) => claim(namespace, name) }),
    world: { pod, podIP: sandbox.podIP, hostIP, allocatable },
  }
}

const pullPolicy = ({
  imagePullPolicy,
}: ContainerDefinition): 'Always' | 'IfNotPresent' | 'Never' =>
  imagePullPolicy === 'Always' || imagePullPolicy === 'Never' ? imagePullPolicy : 'IfNotPresent'

function commandOf(
  definition: ContainerDefinition,
  image: ImageHandle,
  world: EnvWorld,
  sandbox: Sandbox,
  { services, apiForPods }: LaunchDeps,
): Pick<Launch, 'command' | 'env'> {
  const { pod } = world
  const linked =
    pod.spec.enableServiceLinks === false ? [] : services?.(pod.metadata.namespace ?? '')
  const base = {
    HOSTNAME: hostnameOf(pod),
    ...image.config.env,
    ...serviceEnv(linked ?? [], apiForPods?.()),
  }
  let env = resolveEnv(definition, base, world)
  const port = definition.ports?.[0]?.containerPort
  // Where ports are handed out, PORT is how a program learns of its own.
  if (sandbox.hostPorts && port !== undefined && env['PORT'] === undefined)
    env = { ...env, PORT: String(port) }
  return { env, command: commandLine(definition, image.config, env) }
}

type Find = <T extends KubeObject>(kind: Kind<T>, name: string) => Promise<T | undefined>

async function worldOf(
  pod: Pod,
  definition: ContainerDefinition,
  sandbox: Sandbox,
  { hostIP, allocatable, onSkippedKeys }: LaunchDeps,
  find: Find,
): Promise<EnvWorld> {
  const references = envReferences(definition)
  const maps = new Map<string, ConfigMap | undefined>()
  const secrets = new Map<string, Secret | undefined>()
  await Promise.all([
    ...[...references.configMaps].map(async (name) => maps.set(name, await find(ConfigMap, name))),
    ...[...references.secrets].map(async (name) => secrets.set(name, await find(Secret, name))),
  ])
  return {
    pod,
    configMap: (name) => maps.get(name),
    secret: (name) => secrets.get(name),
    podIP: sandbox.podIP,
    hostIP,
    allocatable,
    ...(onSkippedKeys && { onSkipped: onSkippedKeys }),
  }
}

async function lookUp<T extends KubeObject>(
  client: Client,
  kind: Kind<T>,
  namespace: string,
  name: string,
): Promise<T | undefined> {
  if (name === '') return undefined
  try {
    return await client.get(kind, { namespace, name })
  } catch (error) {
    if (hasReason(error, 'NotFound')) return undefined
    throw error
  }
}
