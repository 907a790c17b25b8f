/** The object of today that is made for one of the past, of the same name: what is written, and whose it is. */
import { apiVersionOf, type Kind } from '../../../kube/api/kind.ts'
import { controllerOf, keyOf, type KubeObject } from '../../../kube/api/meta.ts'
import type { Apply, Wake } from '../../../kube/controller/reconciler.ts'
import { fieldsOf, isFields, partsOf, type Fields } from '../../../knative/old-form.ts'
import { annotation } from '../../api/names.ts'
import { ownedMetadata, type Owner } from '../flows/flow-objects.ts'

/** It was made for this one. */
export const isPartOf = (made: KubeObject, { metadata }: KubeObject): boolean =>
  controllerOf(made)?.uid === metadata.uid

/** Wakes the old object of the name that a changed one has. */
export const namesakeOf =
  (old: Kind): Wake =>
  (changed, read) =>
    read.get(old, keyOf(changed)) ? [keyOf(changed)] : []

/** For people: why nothing is made. */
export const nameTaken = (kind: Kind, name: string): string =>
  `there is a ${kind.kind} "${name}" of ${apiVersionOf(kind)} that is not this one's; rename one of them`

/** `kind` with this spec; what defaulting filled in stays. */
export function successorApply(owner: Owner, kind: Kind, spec: Fields): Apply {
  const desired = {
    apiVersion: apiVersionOf(kind),
    kind: kind.kind,
    metadata: ownedMetadata(owner, owner.object.metadata.name),
    spec,
  }
  return {
    kind,
    desired,
    merge: (existing) => withSpec(existing, filled(spec, partsOf(existing).spec)),
  }
}

/** Somebody applied it as what it is today: from then on it is theirs, and the old object may be deleted without it. */
export const isTakenOver = ({ metadata }: KubeObject): boolean =>
  metadata.annotations?.[lastApplied] !== undefined ||
  (metadata.managedFields ?? []).some((each) => fieldsOf(each)['operation'] === 'Apply')

const lastApplied = 'kubectl.kubernetes.io/last-applied-configuration'

const nameOf = ({ plural, group }: Kind): string => `${plural}.${group}`

/** Lets go of what was taken over. */
export const release = (made: KubeObject, kind: Kind, { kind: old, object }: Owner): Apply => ({
  kind,
  desired: made,
  merge: ({ metadata: { ownerReferences = [], ...metadata }, ...existing }) => ({
    ...existing,
    metadata: {
      ...metadata,
      annotations: { ...metadata.annotations, [annotation.supersedes]: nameOf(old) },
      ownerReferences: ownerReferences.filter(({ uid }) => uid !== object.metadata.uid),
    },
  }),
})

/** It was made for an object of the old kind, and taken over. */
export const supersedes = ({ metadata }: KubeObject, old: Kind): boolean =>
  metadata.annotations?.[annotation.supersedes] === nameOf(old)

const withSpec = (object: KubeObject, spec: Fields): KubeObject & { readonly spec: Fields } => ({
  ...object,
  spec,
})

/** `spec` with those fields of the stored one that it says nothing of, as deep as maps go. */
function filled(spec: Fields, stored: Fields): Fields {
  const merged = Object.fromEntries(
    Object.entries(spec).map(([name, value]) => {
      const before = stored[name]
      if (Array.isArray(value) && Array.isArray(before) && value.length === before.length)
        return [name, value.map((each: unknown, i) => filledValue(each, before[i]))]
      return [name, filledValue(value, before)]
    }),
  )
  const { channelTemplate } = stored
  return spec['channelTemplate'] === undefined && channelTemplate !== undefined
    ? { ...merged, channelTemplate }
    : merged
}

/** References get their namespace by defaulting. */
function filledValue(value: unknown, before: unknown): unknown {
  if (!isFields(value) || !isFields(before)) return value
  const next = filled(value, before)
  const { name, kind, namespace } = value
  const isSame = name !== undefined && name === before['name'] && kind === before['kind']
  return isSame && namespace === undefined && before['namespace'] !== undefined
    ? { ...next, namespace: before['namespace'] }
    : next
}
