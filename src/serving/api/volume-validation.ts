/** What must hold of a Revision's volumes and of their mounts. */
import {
  disallowedFields,
  genericError,
  invalidValue,
  missingField,
  missingOneOf,
  multipleOneOf,
  via,
  type FieldError,
} from '../../knative/field-error.ts'
import { parseQuantity } from '../../kube/api/quantity.ts'
import { labelProblem } from '../../kube/api/validation.ts'
import type { Feature, FeaturesConfig } from './config/features.ts'
import type { Container, Volume, VolumeMount } from './pod-spec.ts'

/** Volumes, with paths from the pod spec. `mounted` are the names that any container mounts. */
export function* validateVolumes(
  volumes: readonly Volume[],
  mounted: ReadonlySet<string>,
  features: FeaturesConfig,
): Generator<FieldError> {
  const seen = new Set<string>()
  for (const [i, volume] of volumes.entries()) {
    const { name } = volume
    if (seen.has(name))
      yield genericError(`duplicate volume name ${JSON.stringify(name)}`, `volumes[${i}].name`)
    else if (!mounted.has(name))
      yield genericError(
        `volume with name ${JSON.stringify(name)} not mounted`,
        `volumes[${i}].name`,
      )
    seen.add(name)
    yield* via(`volumes[${i}]`, validateVolume(volume, features))
  }
}

/** Sources behind a feature, with the name they have in its message. */
const gated = [
  ['emptyDir', 'EmptyDir', 'podSpecVolumesEmptyDir'],
  ['hostPath', 'HostPath', 'podSpecVolumesHostPath'],
  ['csi', 'CSI', 'podSpecVolumesCSI'],
  ['ephemeral', 'Ephemeral', 'podSpecVolumesEphemeral'],
  ['image', 'Image', 'podSpecVolumesImage'],
] as const satisfies readonly (readonly [keyof Volume, string, keyof FeaturesConfig])[]

const isOn = (feature: Feature): boolean => feature === 'Enabled'

function* validateVolume(volume: Volume, features: FeaturesConfig): Generator<FieldError> {
  const problem = volume.name ? labelProblem(volume.name) : undefined
  if (!volume.name) yield missingField('name')
  else if (problem) yield invalidValue(volume.name, 'name', problem)

  yield* claimAllowed(volume, features)
  for (const [field, title, feature] of gated) {
    if (volume[field] && !isOn(features[feature])) {
      yield genericError(
        `${title} volume support is disabled, but found ${title} volume ${volume.name}`,
      )
    }
  }

  const offered = [
    'secret',
    'configMap',
    'projected',
    ...gated.filter(([, , feature]) => isOn(features[feature])).map(([field]) => field),
    ...(isOn(features.podSpecPersistentVolumeClaim) ? ['persistentVolumeClaim'] : []),
  ]
  const all = ['secret', 'configMap', 'projected', 'persistentVolumeClaim'] as const
  const set = [...all, ...gated.map(([field]) => field)].filter((field) => volume[field])
  if (set.length === 0) yield missingOneOf(...offered)
  if (set.length > 1) yield multipleOneOf(...set)

  for (const item of ['secret', 'configMap'] as const)
    yield* via(item, validateItems(volume[item]?.items))
  if (volume.secret && !volume.secret.secretName) yield missingField('secret.secretName')
  if (volume.configMap && !volume.configMap.name) yield missingField('configMap.name')
  yield* validateProjected(volume.projected)
  yield* validateEmptyDir(volume.emptyDir)
  yield* validateImage(volume.image)
}

function* claimAllowed(
  { persistentVolumeClaim: claim }: Volume,
  features: FeaturesConfig,
): Generator<FieldError> {
  if (!claim) return
  if (!isOn(features.podSpecPersistentVolumeClaim)) {
    yield genericError(
      `Persistent volume claim support is disabled, but found persistent volume claim ${claim.claimName}`,
    )
  }
  if (!isOn(features.podSpecPersistentVolumeWrite) && !claim.readOnly) {
    yield genericError(
      `Persistent volume write support is disabled, but found persistent volume claim ${claim.claimName} that is not read-only`,
    )
  }
}

type Items = NonNullable<Volume['configMap']>['items']

function* validateItems(items: Items): Generator<FieldError> {
  for (const [i, item] of (items ?? []).entries()) {
    if (!item.key) yield missingField(`items[${i}].key`)
    if (!item.path) yield missingField(`items[${i}].path`)
  }
}

function* validateProjected(projected: Volume['projected']): Generator<FieldError> {
  for (const [i, source] of (projected?.sources ?? []).entries()) {
    const at = `projected.sources[${i}]`
    const kinds = ['secret', 'configMap', 'serviceAccountToken', 'downwardAPI'] as const
    const set = kinds.filter((kind) => source[kind])
    if (set.length === 0) yield* via(at, [missingOneOf(...kinds)])
    if (set.length > 1) yield* via(at, [multipleOneOf(...set)])
    for (const kind of ['secret', 'configMap'] as const) {
      if (source[kind] && !source[kind].name) yield missingField(`${at}.${kind}.name`)
      yield* via(`${at}.${kind}`, validateItems(source[kind]?.items))
    }
    if (source.serviceAccountToken && !source.serviceAccountToken.path)
      yield missingField(`${at}.serviceAccountToken.path`)
    for (const [j, item] of (source.downwardAPI?.items ?? []).entries()) {
      const here = `${at}.downwardAPI.items[${j}]`
      if (!item.path) yield missingField(`${here}.path`)
      const refs = ['fieldRef', 'resourceFieldRef'] as const
      const given = refs.filter((ref) => item[ref])
      if (given.length === 0) yield* via(here, [missingOneOf(...refs)])
      if (given.length > 1) yield* via(here, [multipleOneOf(...refs)])
    }
  }
}

function* validateEmptyDir(emptyDir: Volume['emptyDir']): Generator<FieldError> {
  const { medium = '', sizeLimit } = emptyDir ?? {}
  if (medium !== '' && medium !== 'Memory') yield invalidValue(medium, 'emptyDir.medium')
  if (sizeLimit === undefined) return
  const size = parseQuantity(sizeLimit)
  if (!size || size.nanos < 0n) yield invalidValue(sizeLimit, 'emptyDir.sizeLimit')
}

function* validateImage(image: Volume['image']): Generator<FieldError> {
  if (!image) return
  if (!image.reference) yield missingField('image.reference')
  const { pullPolicy = '' } = image
  if (!['', 'Always', 'IfNotPresent', 'Never'].includes(pullPolicy))
    yield invalidValue(pullPolicy, 'image.pullPolicy')
}

/** Mounts of one container, with paths from the container. */
export function* validateMounts(
  { volumeMounts = [] }: Container,
  volumes: ReadonlyMap<string, Volume>,
  features: FeaturesConfig,
): Generator<FieldError> {
  const paths = new Set<string>()
  for (const [i, mount] of volumeMounts.entries()) {
    const volume = volumes.get(mount.name)
    yield* via(`volumeMounts[${i}]`, validateMount(mount, volume, features))
    const path = cleaned(mount.mountPath ?? '')
    if (path !== '' && paths.has(path)) {
      yield genericError(
        `invalid value: ${JSON.stringify(mount.mountPath)} must be unique`,
        `volumeMounts[${i}].mountPath`,
      )
    }
    paths.add(path)
  }
}

const reservedPaths = new Set(['/', '/dev', '/dev/log'])

function* validateMount(
  mount: VolumeMount,
  volume: Volume | undefined,
  features: FeaturesConfig,
): Generator<FieldError> {
  if (!mount.name) yield missingField('name')
  else if (!volume) yield genericError('volumeMount has no matching volume', 'name')

  const { mountPath } = mount
  if (!mountPath) yield missingField('mountPath')
  else if (reservedPaths.has(cleaned(mountPath))) {
    yield genericError(
      `mountPath ${JSON.stringify(cleaned(mountPath))} is a reserved path`,
      'mountPath',
    )
  } else if (!mountPath.startsWith('/')) yield invalidValue(mountPath, 'mountPath')

  if (mount.subPathExpr) yield disallowedFields('subPathExpr')
  if (volume) yield* validateReadOnly(mount, volume)
  yield* validatePropagation(mount, features)
}

function* validateReadOnly(mount: VolumeMount, volume: Volume): Generator<FieldError> {
  const claim = volume.persistentVolumeClaim
  const writable = volume.emptyDir ?? claim ?? volume.ephemeral
  if (!writable && !mount.readOnly)
    yield genericError('volume mount should be readOnly for this type of volume', 'readOnly')
  if (claim?.readOnly && !mount.readOnly)
    yield genericError('volume is readOnly but volume mount is not', 'readOnly')
}

function* validatePropagation(
  { name, mountPropagation }: VolumeMount,
  features: FeaturesConfig,
): Generator<FieldError> {
  if (!mountPropagation) return
  if (!isOn(features.podSpecVolumesMountPropagation)) {
    yield genericError(
      `Volume Mount Propagation support is disabled, but found volume mount ${name} with mount propagation`,
    )
  } else if (mountPropagation !== 'None' && mountPropagation !== 'HostToContainer')
    yield genericError(
      'mount propagation should be set to None or HostToContainer',
      'mountPropagation',
    )
}

/** The path without `//`, `/./`, `..` and a slash at the end, as Go's filepath.Clean answers it. */
function cleaned(path: string): string {
  const parts: string[] = []
  for (const part of path.split('/')) {
    if (part === '' || part === '.') continue
    if (part === '..' && parts.length > 0) parts.pop()
    else if (part !== '..') parts.push(part)
  }
  return path === '' ? '' : `${path.startsWith('/') ? '/' : ''}${parts.join('/')}`
}
