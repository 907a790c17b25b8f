/** One pod of a StatefulSet: its name, its claims and its template. */
import { controllerRef, keyOf } from '../../api/meta.ts'
import { PersistentVolumeClaim } from '../../api/persistent-volume-claim.ts'
import { Pod } from '../../api/pod.ts'
import type { PodTemplateSpec } from '../../api/pod-spec.ts'
import type { StatefulSet } from '../../api/stateful-set.ts'
import type { Apply, Delete } from '../../controller/reconciler.ts'
import { revisionHashLabel } from '../history.ts'

const podNameLabel = 'statefulset.kubernetes.io/pod-name'
const podIndexLabel = 'apps.kubernetes.io/pod-index'

/** The number in the name of a pod of this set; undefined when it is none of its names. */
export function ordinalOf({ metadata: owner }: StatefulSet, { metadata }: Pod): number | undefined {
  const text = metadata.name.startsWith(`${owner.name}-`)
    ? metadata.name.slice(owner.name.length + 1)
    : ''
  return /^(0|[1-9]\d{0,8})$/.test(text) ? Number(text) : undefined
}

export const revisionOf = ({ metadata }: Pod): string => metadata.labels?.[revisionHashLabel] ?? ''

const claimName = (template: string, set: string, ordinal: number) =>
  `${template}-${set}-${ordinal}`

/** A pod with its claims; `revision`: the name of the ControllerRevision that `template` is of. */
export function newPod(
  set: StatefulSet,
  ordinal: number,
  revision: string,
  template: PodTemplateSpec,
): readonly Apply[] {
  const { name: setName, namespace } = set.metadata
  const name = `${setName}-${ordinal}`
  const claims = set.spec.volumeClaimTemplates ?? []
  const volumes = [
    ...(template.spec?.volumes ?? []).filter(
      (volume) => !claims.some(({ metadata }) => metadata?.name === volume.name),
    ),
    ...claims.map(({ metadata }) => ({
      name: metadata?.name ?? '',
      persistentVolumeClaim: { claimName: claimName(metadata?.name ?? '', setName, ordinal) },
    })),
  ]
  const pod: Pod = {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      name,
      generateName: `${setName}-`,
      ...(namespace && { namespace }),
      labels: {
        ...template.metadata?.labels,
        [revisionHashLabel]: revision,
        [podNameLabel]: name,
        [podIndexLabel]: String(ordinal),
      },
      ...(template.metadata?.annotations && { annotations: template.metadata.annotations }),
      ...(template.metadata?.finalizers && { finalizers: template.metadata.finalizers }),
      ownerReferences: [controllerRef(set)],
    },
    spec: {
      ...(template.spec ?? { containers: [] }),
      hostname: name,
      ...(set.spec.serviceName && { subdomain: set.spec.serviceName }),
      ...(volumes.length > 0 && { volumes }),
    },
  }
  const about = (kind: string, text: string) => `create ${kind} ${text} in StatefulSet ${setName}`
  return [
    ...claims.map((claim): Apply => newClaim(set, claim, ordinal)),
    {
      kind: Pod,
      desired: pod,
      merge: (existing) => existing,
      created: {
        type: 'Normal',
        reason: 'SuccessfulCreate',
        message: `${about('Pod', name)} successful`,
      },
      createFailed: {
        type: 'Warning',
        reason: 'FailedCreate',
        message: `${about('Pod', name)} failed error: `,
      },
    },
  ]
}

function newClaim(
  set: StatefulSet,
  template: NonNullable<StatefulSet['spec']['volumeClaimTemplates']>[number],
  ordinal: number,
): Apply {
  const { name: setName, namespace } = set.metadata
  const name = claimName(template.metadata?.name ?? '', setName, ordinal)
  const { whenDeleted } = set.spec.persistentVolumeClaimRetentionPolicy ?? {}
  const { annotations, labels } = template.metadata ?? {}
  const desired: PersistentVolumeClaim = {
    apiVersion: 'v1',
    kind: 'PersistentVolumeClaim',
    metadata: {
      name,
      ...(namespace && { namespace }),
      labels: { ...labels, ...set.spec.selector?.matchLabels },
      ...(annotations && { annotations }),
      // Goes with the set where that is wanted; otherwise nobody's, so that it outlives it.
      ...(whenDeleted === 'Delete' && {
        ownerReferences: [{ ...controllerRef(set), controller: false, blockOwnerDeletion: false }],
      }),
    },
    ...(template.spec && { spec: template.spec }),
  }
  return {
    kind: PersistentVolumeClaim,
    desired,
    merge: (existing) => existing,
    created: {
      type: 'Normal',
      reason: 'SuccessfulCreate',
      message: `create Claim ${name} Pod ${setName}-${ordinal} in StatefulSet ${setName} success`,
    },
    createFailed: {
      type: 'Warning',
      reason: 'FailedCreate',
      message: `create Claim ${name} for Pod ${setName}-${ordinal} in StatefulSet ${setName} failed error: `,
    },
  }
}

/** Claims of a pod that is gone for good, where the set says that they go with it. */
export function claimsToDelete(set: StatefulSet, ordinal: number): readonly Delete[] {
  if (set.spec.persistentVolumeClaimRetentionPolicy?.whenScaled !== 'Delete') return []
  return (set.spec.volumeClaimTemplates ?? []).map(({ metadata }) => ({
    kind: PersistentVolumeClaim,
    key: {
      namespace: set.metadata.namespace ?? '',
      name: claimName(metadata?.name ?? '', set.metadata.name, ordinal),
    },
  }))
}

export const deletion = (pod: Pod): Delete => ({
  kind: Pod,
  key: keyOf(pod),
  ...(pod.metadata.uid && { uid: pod.metadata.uid }),
})
