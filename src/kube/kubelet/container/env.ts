/**
 * The environment of a container: envFrom, then env, with references resolved and `$(VAR)` expanded.
 * Pure: ConfigMaps and Secrets are handed in.
 */
import type { ConfigMap } from '../../api/config-map.ts'
import type { Pod } from '../../api/pod.ts'
import { quantityValue } from '../../api/quantity.ts'
import type { Secret } from '../../api/secret.ts'
import { allContainers, type ContainerDefinition } from './container-state.ts'

/** A reference that can't be resolved; the message is the kubelet's, shown with CreateContainerConfigError. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError'
}

/** Everything references may point at. */
export interface EnvWorld {
  readonly pod: Pod
  readonly configMap: (name: string) => ConfigMap | undefined
  readonly secret: (name: string) => Secret | undefined
  readonly podIP: string
  readonly hostIP: string
  readonly allocatable: Readonly<Record<string, string>>
  /** Is told which keys of a source (`configMap ns/name`) can't be variables. */
  readonly onSkipped?: (keys: readonly string[], source: string) => void
}

export interface References {
  readonly configMaps: ReadonlySet<string>
  readonly secrets: ReadonlySet<string>
}

/** Names of the ConfigMaps and Secrets that a container's environment needs. */
export function envReferences(container: ContainerDefinition): References {
  const configMaps = new Set<string>()
  const secrets = new Set<string>()
  for (const { configMapRef, secretRef } of container.envFrom ?? []) {
    if (configMapRef?.name) configMaps.add(configMapRef.name)
    if (secretRef?.name) secrets.add(secretRef.name)
  }
  for (const { valueFrom } of container.env ?? []) {
    if (valueFrom?.configMapKeyRef?.name) configMaps.add(valueFrom.configMapKeyRef.name)
    if (valueFrom?.secretKeyRef?.name) secrets.add(valueFrom.secretKeyRef.name)
  }
  return { configMaps, secrets }
}

/** `base` (the image's variables) overlaid with the container's. Throws ConfigError. */
export function resolveEnv(
  container: ContainerDefinition,
  base: Readonly<Record<string, string>>,
  world: EnvWorld,
): Readonly<Record<string, string>> {
  // No prototype: a variable may be called anything.
  const env: Record<string, string> = Object.assign(Object.create(null), base)
  const namespace = world.pod.metadata.namespace ?? ''
  for (const { prefix = '', configMapRef, secretRef } of container.envFrom ?? []) {
    if (configMapRef) {
      const name = configMapRef.name ?? ''
      const found = world.configMap(name)
      if (!found && !configMapRef.optional) throw new ConfigError(`configmap "${name}" not found`)
      put(env, prefix, found?.data, (keys) =>
        world.onSkipped?.(keys, `configMap ${namespace}/${name}`),
      )
    } else if (secretRef) {
      const name = secretRef.name ?? ''
      const found = world.secret(name)
      if (!found && !secretRef.optional) throw new ConfigError(`secret "${name}" not found`)
      put(
        env,
        prefix,
        found?.data,
        (keys) => world.onSkipped?.(keys, `secret ${namespace}/${name}`),
        decode,
      )
    }
  }
  for (const { name, value, valueFrom } of container.env ?? []) {
    if (!valueFrom) {
      env[name] = expand(value ?? '', env)
      continue
    }
    const { configMapKeyRef: map, secretKeyRef: secret, fieldRef, resourceFieldRef } = valueFrom
    if (map) {
      const found = world.configMap(map.name ?? '')
      if (!found && !map.optional) throw new ConfigError(`configmap "${map.name}" not found`)
      const text = found?.data?.[map.key]
      if (text !== undefined) env[name] = text
      else if (!map.optional)
        throw new ConfigError(`couldn't find key ${map.key} in ConfigMap ${namespace}/${map.name}`)
    } else if (secret) {
      const found = world.secret(secret.name ?? '')
      if (!found && !secret.optional) throw new ConfigError(`secret "${secret.name}" not found`)
      const text = found?.data?.[secret.key]
      if (text !== undefined) env[name] = decode(text)
      else if (!secret.optional)
        throw new ConfigError(
          `couldn't find key ${secret.key} in Secret ${namespace}/${secret.name}`,
        )
    } else if (fieldRef) env[name] = fieldValue(fieldRef.fieldPath, world)
    else if (resourceFieldRef)
      env[name] = resourceValue(
        named(resourceFieldRef.containerName, container, world),
        resourceFieldRef,
        world,
      )
  }
  return env
}

/** The container a reference names; without a name, the one it stands in. Throws ConfigError. */
function named(
  name: string | undefined,
  own: ContainerDefinition,
  { pod }: EnvWorld,
): ContainerDefinition {
  if (!name || name === own.name) return own
  const found = allContainers(pod).find((each) => each.name === name)
  if (!found) throw new ConfigError(`container ${JSON.stringify(name)} not found in pod`)
  return found
}

/**
 * The pod's command and args, else the image's: who gives a command leaves out the image's args. Only what the pod says
 * is expanded; an image's `echo $$` is its shell's own.
 */
export function commandLine(
  { command = [], args = [] }: Pick<ContainerDefinition, 'command' | 'args'>,
  image: { readonly entrypoint: readonly string[]; readonly cmd: readonly string[] },
  env: Readonly<Record<string, string>>,
): string[] {
  const expanded = (words: readonly string[]) => words.map((word) => expand(word, env))
  if (command.length > 0) return expanded([...command, ...args])
  return [...image.entrypoint, ...(args.length > 0 ? expanded(args) : image.cmd)]
}

/** `$(VAR)` becomes the variable's value, `$$` a dollar sign; unknown variables stay as they are written. */
export function expand(text: string, env: Readonly<Record<string, string>>): string {
  return text.replace(/\$(?:\$|\(([^()]*)\))/g, (written, name: string | undefined) =>
    written === '$$' ? '$' : name !== undefined && name in env ? (env[name] ?? '') : written,
  )
}

/** All of a source's keys that are names of variables: printable, without `=` (Kubernetes 1.30 and later). */
function put(
  env: Record<string, string>,
  prefix: string,
  data: Readonly<Record<string, string>> = {},
  skip: (keys: readonly string[]) => void,
  read: (text: string) => string = (text) => text,
): void {
  const skipped: string[] = []
  for (const [key, text] of Object.entries(data)) {
    if (/^[ -<>-~]+$/.test(prefix + key)) env[prefix + key] = read(text)
    else skipped.push(key)
  }
  if (skipped.length > 0) skip(skipped.toSorted())
}

const decode = (base64: string): string => Buffer.from(base64, 'base64').toString('utf8')

/** A field of the pod, as the downward API names it. Throws ConfigError for an unknown one. */
export function fieldValue(
  path: string,
  { pod, podIP, hostIP }: Pick<EnvWorld, 'pod' | 'podIP' | 'hostIP'>,
): string {
  const { metadata, spec } = pod
  const keyed = /^metadata\.(labels|annotations)\['(.+)'\]$/.exec(path)
  if (keyed?.[1] === 'labels') return metadata.labels?.[keyed[2] ?? ''] ?? ''
  if (keyed?.[1] === 'annotations') return metadata.annotations?.[keyed[2] ?? ''] ?? ''
  switch (path) {
    case 'metadata.name':
      return metadata.name
    case 'metadata.namespace':
      return metadata.namespace ?? ''
    case 'metadata.uid':
      return metadata.uid ?? ''
    case 'metadata.labels':
      return mapText(metadata.labels)
    case 'metadata.annotations':
      return mapText(metadata.annotations)
    case 'spec.nodeName':
      return spec.nodeName ?? ''
    case 'spec.serviceAccountName':
      return spec.serviceAccountName ?? ''
    case 'status.hostIP':
    case 'status.hostIPs':
      return hostIP
    case 'status.podIP':
    case 'status.podIPs':
      return podIP
    default:
      throw new ConfigError(`unsupported fieldPath: ${path}`)
  }
}

/** `key="value"` lines, sorted, as the downward API writes maps into files. */
const mapText = (map: Readonly<Record<string, string>> = {}): string =>
  Object.keys(map)
    .sort()
    .map((key) => `${key}=${JSON.stringify(map[key])}`)
    .join('\n')

/** A request or limit in units of the divisor, rounded up; limits default to what the node has. */
export function resourceValue(
  container: ContainerDefinition,
  { resource, divisor }: { readonly resource: string; readonly divisor?: string },
  { allocatable }: Pick<EnvWorld, 'allocatable'>,
): string {
  const [kind, ...rest] = resource.split('.')
  const name = rest.join('.')
  const { limits, requests } = container.resources ?? {}
  if (kind !== 'limits' && kind !== 'requests')
    throw new ConfigError(`unsupported container resource: ${resource}`)
  const quantity =
    (kind === 'limits' ? limits?.[name] : requests?.[name]) ??
    (kind === 'limits' ? allocatable[name] : undefined) ??
    '0'
  const unit =
    divisor === undefined || divisor === '0' || divisor === '' ? 1 : quantityValue(divisor)
  return String(Math.ceil(quantityValue(quantity) / unit))
}
