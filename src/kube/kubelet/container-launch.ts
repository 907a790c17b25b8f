/**
 * From a container's definition to what a runtime can start: image, environment, command line, user and volumes, with
 * nothing left to look up. Rejects with ImageError, ConfigError, MountError or MountsImpossible (start-failure.ts).
 */
import { join } from 'node:path'
import { ConfigMap } from '../api/config-map.ts'
import type { Kind } from '../api/kind.ts'
import type { KubeObject } from '../api/meta.ts'
import type { Pod } from '../api/pod.ts'
import { Secret } from '../api/secret.ts'
import { hasReason } from '../api/status-error.ts'
import type { Client } from '../client/client.ts'
import { resourcesOf, securityOf } from './container-limits.ts'
import type { ContainerDefinition } from './container-state.ts'
import { ConfigError, envReferences, expand, resolveEnv, type EnvWorld } from './env.ts'
import type { ContainerSpec, ImageHandle, Images, PullRequest, Sandbox } from './runtime.ts'
import { podText } from './sync-pod.ts'
import { prepareMounts, type Mount } from './volumes.ts'

export interface LaunchDeps {
  readonly client: Client
  readonly images: Images
  readonly hostIP: string
  readonly allocatable: Readonly<Record<string, string>>
  readonly dataDir: string
}

/** `disabled` on a pod: its containers never begin as an idle interpreter (process-runtime.ts). */
const warmAnnotation = 'ebb.dev/warm-interpreter'

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
  return {
    podUid,
    namespace,
    podName,
    container: definition.name,
    image,
    ...commandOf(definition, image, world, sandbox),
    workingDir: definition.workingDir || image.config.workingDir,
    mounts: await prepareVolumes(pod, definition, sandbox, deps),
    ...(user && { user }),
    ...(resources && { resources }),
    ...(security && { security }),
    ...(pod.metadata.annotations?.[warmAnnotation] === 'disabled' && { warm: false }),
  }
}

/**
 * Writes the files of the volumes that a container mounts, as ConfigMaps, Secrets and the pod are now. May be called again
 * while it runs: what has changed appears at once, all of it together. Rejects with MountError or ConfigError.
 */
export async function prepareVolumes(
  pod: Pod,
  definition: ContainerDefinition,
  sandbox: Sandbox,
  { client, hostIP, allocatable, dataDir }: Omit<LaunchDeps, 'images'>,
): Promise<readonly Mount[]> {
  if (!definition.volumeMounts?.length) return []
  const { namespace = '', uid = '' } = pod.metadata
  return await prepareMounts(definition, join(dataDir, 'pods', uid, 'volumes'), {
    configMap: (name) => lookUp(client, ConfigMap, namespace, name),
    secret: (name) => lookUp(client, Secret, namespace, name),
    world: { pod, podIP: sandbox.podIP, hostIP, allocatable },
  })
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
): Pick<Launch, 'command' | 'env'> {
  let env = resolveEnv(definition, image.config.env, world)
  const port = definition.ports?.[0]?.containerPort
  // Where ports are handed out, PORT is how a program learns of its own.
  if (sandbox.hostPorts && port !== undefined && env['PORT'] === undefined)
    env = { ...env, PORT: String(port) }
  const entrypoint = definition.command?.length ? definition.command : image.config.entrypoint
  const args = definition.args?.length
    ? definition.args
    : definition.command?.length
      ? []
      : image.config.cmd
  return { env, command: [...entrypoint, ...args].map((word) => expand(word, env)) }
}

type Find = <T extends KubeObject>(kind: Kind<T>, name: string) => Promise<T | undefined>

async function worldOf(
  pod: Pod,
  definition: ContainerDefinition,
  sandbox: Sandbox,
  { hostIP, allocatable }: LaunchDeps,
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

/** The user a container runs as, when anybody asks for one. Throws ConfigError. */
function userOf(
  pod: Pod,
  container: ContainerDefinition,
  image: ImageHandle,
): { readonly uid: number; readonly gid?: number } | undefined {
  const inner = container.securityContext
  const outer = pod.spec.securityContext
  const uid = inner?.runAsUser ?? outer?.runAsUser ?? numericUser(image.config.user)
  const gid = inner?.runAsGroup ?? outer?.runAsGroup
  // Only root may become somebody else; otherwise everything runs as the user who runs the platform.
  if (process.getuid?.() !== 0 || uid === undefined) return undefined
  if (uid === 0 && (inner?.runAsNonRoot ?? outer?.runAsNonRoot))
    throw new ConfigError(
      `container's runAsUser breaks non-root policy (pod: "${podText(pod)}", container: ${container.name})`,
    )
  return { uid, ...(gid !== undefined && { gid }) }
}

const numericUser = (user: string): number | undefined =>
  /^\d+/.test(user) ? Number.parseInt(user, 10) : undefined
