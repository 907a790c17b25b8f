/**
 * Brings claims and volumes together: binds, makes folders for claims of our class, lets go of what is deleted once nobody
 * uses it, and gives back what its claim left (upstream: persistentvolume controller, pvc and pv protection).
 */
import { rfc3339 } from '../../../lib/clock.ts'
import { keyOf, type KubeObject } from '../../api/meta.ts'
import { claimProtection, PersistentVolumeClaim } from '../../api/persistent-volume-claim.ts'
import { PersistentVolume, volumeProtection } from '../../api/persistent-volume.ts'
import { Pod } from '../../api/pod.ts'
import { compareQuantities } from '../../api/quantity.ts'
import { hasReason } from '../../api/status-error.ts'
import { StorageClass } from '../../api/storage-class.ts'
import type { Kind } from '../../api/kind.ts'
import type { ControllerDeps } from '../../controller/loop.ts'
import { isTerminated } from '../pod-state.ts'
import { startWorker } from '../worker.ts'
import {
  claimReference,
  provision,
  provisioner,
  removeFolder,
  standardClass,
} from './local-folders.ts'
import { findVolume, isOf, requestOf, sizeOf } from './match.ts'

export interface StorageDeps extends ControllerDeps {
  /** Where the volumes of claims are made. */
  readonly folder: string
}

const source = { component: 'persistentvolume-controller' }
const bound = {
  'pv.kubernetes.io/bind-completed': 'yes',
  'pv.kubernetes.io/bound-by-controller': 'yes',
}
/** A claim that waits for somebody else's doing is looked at again. */
const againMs = 15_000

export function startStorage(deps: StorageDeps): AsyncDisposable {
  const { client, informers, clock, recorder, folder } = deps
  const claims = informers.for(PersistentVolumeClaim)
  const volumes = informers.for(PersistentVolume)
  const classes = informers.for(StorageClass)
  const pods = informers.for(Pod)
  const subscriptions = new DisposableStack()

  const tell = (object: KubeObject, type: 'Normal' | 'Warning', reason: string, message: string) =>
    recorder.event(object, { type, reason, message }, source)

  const merge = async <T extends KubeObject>(
    kind: Kind<T>,
    object: T,
    body: object,
    subresource = '',
  ): Promise<T> => {
    const { uid, resourceVersion } = object.metadata
    const given = Object(body) as { readonly metadata?: object }
    const written = await client.patch(kind, keyOf(object), {
      type: 'merge',
      body: {
        ...given,
        metadata: {
          ...given.metadata,
          ...(uid && { uid }),
          ...(resourceVersion && { resourceVersion }),
        },
      },
      ...(subresource && { subresource }),
    })
    informers.for(kind).wrote(written)
    return written
  }
  const without = (finalizer: string, { metadata }: KubeObject) =>
    (metadata.finalizers ?? []).filter((each) => each !== finalizer)

  const usersOf = ({ metadata }: PersistentVolumeClaim): readonly Pod[] =>
    pods
      .list(metadata.namespace ?? '')
      .filter((pod) => !isTerminated(pod) && claimsOf(pod).includes(metadata.name))

  const syncClaim = async (claim: PersistentVolumeClaim): Promise<number | void> => {
    if (claim.metadata.deletionTimestamp) {
      const finalizers = without(claimProtection, claim)
      const held = finalizers.length < (claim.metadata.finalizers?.length ?? 0)
      if (held && usersOf(claim).length === 0)
        await merge(PersistentVolumeClaim, claim, { metadata: { finalizers } })
      return
    }
    const annotations = claim.metadata.annotations ?? {}
    if (annotations['pv.kubernetes.io/bind-completed']) return await keepBound(claim)
    const found = findVolume(claim, volumes.values())
    if (found) return await bind(claim, found)
    if (claim.spec?.volumeName) return againMs // it may come
    return await provisionFor(claim)
  }

  const keepBound = async (claim: PersistentVolumeClaim): Promise<void> => {
    const volume = volumes.get({ namespace: '', name: claim.spec?.volumeName ?? '' })
    if (!volume || !isOf(volume, claim)) {
      if (claim.status?.phase === 'Lost') return
      await merge(PersistentVolumeClaim, claim, { status: { phase: 'Lost' } }, 'status')
      tell(
        claim,
        'Warning',
        'ClaimLost',
        'Bound claim has lost its PersistentVolume. Any data on the volume is lost!',
      )
      return
    }
    const grows = compareQuantities(requestOf(claim), sizeOf(volume.spec)) > 0
    const storageClass = classes.get({ namespace: '', name: claim.spec?.storageClassName ?? '' })
    if (grows && storageClass?.allowVolumeExpansion && storageClass.provisioner === provisioner) {
      const storage = requestOf(claim)
      await merge(PersistentVolume, volume, { spec: { capacity: { storage } } })
      await showBound(claim, { ...volume, spec: { ...volume.spec, capacity: { storage } } })
      tell(claim, 'Normal', 'VolumeResizeSuccessful', 'Resize volume succeeded')
    } else if (claim.status?.phase !== 'Bound') await showBound(claim, volume)
  }

  const showBound = async (claim: PersistentVolumeClaim, { spec }: PersistentVolume) =>
    await merge(
      PersistentVolumeClaim,
      claim,
      {
        status: {
          phase: 'Bound',
          accessModes: spec?.accessModes,
          capacity: { storage: sizeOf(spec) },
        },
      },
      'status',
    )

  const bind = async (claim: PersistentVolumeClaim, volume: PersistentVolume): Promise<void> => {
    let taken = volume
    if (volume.spec?.claimRef?.uid !== claim.metadata.uid)
      taken = await merge(PersistentVolume, volume, {
        metadata: {
          ...(!volume.spec?.claimRef && {
            annotations: { 'pv.kubernetes.io/bound-by-controller': 'yes' },
          }),
        },
        spec: { claimRef: claimReference(claim) },
      })
    if (taken.status?.phase !== 'Bound') await setPhase(taken, 'Bound')
    const named = await merge(PersistentVolumeClaim, claim, {
      metadata: { annotations: bound },
      spec: { volumeName: volume.metadata.name },
    })
    await showBound(named, volume)
  }

  const provisionFor = async (claim: PersistentVolumeClaim): Promise<number | void> => {
    const name = claim.spec?.storageClassName ?? ''
    const storageClass = classes.get({ namespace: '', name })
    if (name === '') {
      const message = 'no persistent volumes available for this claim and no storage class is set'
      tell(claim, 'Normal', 'FailedBinding', message)
      return againMs
    }
    if (!storageClass) {
      const message = `storageclass.storage.k8s.io "${name}" not found`
      tell(claim, 'Warning', 'ProvisioningFailed', message)
      return againMs
    }
    if (storageClass.volumeBindingMode === 'WaitForFirstConsumer' && usersOf(claim).length === 0) {
      const message = 'waiting for first consumer to be created before binding'
      tell(claim, 'Normal', 'WaitForFirstConsumer', message)
      return
    }
    if (storageClass.provisioner === 'kubernetes.io/no-provisioner') return againMs
    if (storageClass.provisioner !== provisioner) {
      const message = `Waiting for a volume to be created either by the external provisioner '${storageClass.provisioner}' or manually by the system administrator. If volume creation is delayed, please verify that the provisioner is running and correctly registered.`
      tell(claim, 'Normal', 'ExternalProvisioning', message)
      return againMs
    }
    if (claim.spec?.volumeMode === 'Block') {
      tell(claim, 'Warning', 'ProvisioningFailed', `${provisioner} makes folders, no block devices`)
      return againMs
    }
    const wanted = await provision(folder, claim, storageClass)
    const made = await client.create(PersistentVolume, wanted).catch((error: unknown) => {
      if (hasReason(error, 'AlreadyExists')) return client.get(PersistentVolume, keyOf(wanted))
      throw error
    })
    volumes.wrote(made)
    tell(
      claim,
      'Normal',
      'ProvisioningSucceeded',
      `Successfully provisioned volume ${made.metadata.name}`,
    )
    await bind(claim, made)
  }

  const setPhase = async (volume: PersistentVolume, phase: string, more: object = {}) => {
    if (volume.status?.phase === phase) return
    const lastPhaseTransitionTime = rfc3339(clock.now())
    await merge(
      PersistentVolume,
      volume,
      { status: { phase, lastPhaseTransitionTime, ...more } },
      'status',
    )
  }

  const syncVolume = async (volume: PersistentVolume): Promise<void> => {
    const ref = volume.spec?.claimRef
    const claim = ref && claims.get({ namespace: ref.namespace ?? '', name: ref.name ?? '' })
    const isClaimed = claim !== undefined && isOf(volume, claim)
    if (volume.metadata.deletionTimestamp) {
      const finalizers = without(volumeProtection, volume)
      const held = finalizers.length < (volume.metadata.finalizers?.length ?? 0)
      if (held && !isClaimed) await merge(PersistentVolume, volume, { metadata: { finalizers } })
      return
    }
    if (!ref) return await setPhase(volume, 'Available')
    // A name without uid keeps the volume for a claim to come.
    if (!ref.uid) return isClaimed ? undefined : await setPhase(volume, 'Available')
    if (isClaimed) return
    if (volume.status?.phase === 'Failed') return // somebody has to look
    await setPhase(volume, 'Released')
    if (volume.spec?.persistentVolumeReclaimPolicy !== 'Delete') return
    try {
      await removeFolder(folder, volume)
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error)
      await setPhase(volumes.get(keyOf(volume)) ?? volume, 'Failed', { message: why })
      tell(volume, 'Warning', 'VolumeFailedDelete', why)
      return
    }
    const { uid } = volume.metadata
    await client.delete(PersistentVolume, keyOf(volume), { ...(uid && { preconditions: { uid } }) })
  }

  const work = async (key: string): Promise<number | void> => {
    const [kind, namespace = '', name = ''] = key.split('/')
    try {
      if (kind === 'claim') {
        const claim = claims.get({ namespace, name })
        return claim && (await syncClaim(claim))
      }
      const volume = volumes.get({ namespace: '', name })
      if (volume) await syncVolume(volume)
    } catch (error) {
      if (!hasReason(error, 'NotFound')) throw error
    }
  }

  const keyFor = ({ metadata: { namespace = '', name } }: KubeObject): string =>
    `claim/${namespace}/${name}`
  const all = () => [
    ...[...claims.values()].map(keyFor),
    ...[...volumes.values()].map(({ metadata }) => `volume//${metadata.name}`),
  ]
  const queue = startWorker('persistentvolume-controller', deps, work, all)
  const pending = () => {
    for (const claim of claims.values())
      if (claim.status?.phase !== 'Bound') queue.add(keyFor(claim))
  }

  void informers
    .synced([PersistentVolumeClaim, PersistentVolume, StorageClass, Pod])
    .then(async () => {
      if (subscriptions.disposed) return
      if (!classes.get({ namespace: '', name: standardClass.metadata.name }))
        await client.create(StorageClass, standardClass)
    })
    .catch((error: unknown) => {
      if (!hasReason(error, 'AlreadyExists'))
        deps.log.info('the default storage class was not made', { error })
    })
    .then(() => {
      if (subscriptions.disposed) return
      subscriptions.use(
        claims.subscribe((_type, claim) => {
          queue.add(keyFor(claim))
          for (const volume of volumes.values())
            if (isOf(volume, claim)) queue.add(`volume//${volume.metadata.name}`)
        }),
      )
      subscriptions.use(
        volumes.subscribe((type, { metadata, spec }) => {
          if (type !== 'DELETED') queue.add(`volume//${metadata.name}`)
          const ref = spec?.claimRef
          if (ref) queue.add(`claim/${ref.namespace ?? ''}/${ref.name ?? ''}`)
          else pending()
        }),
      )
      subscriptions.use(classes.subscribe(pending))
      subscriptions.use(
        pods.subscribe((_type, pod) => {
          for (const name of claimsOf(pod))
            queue.add(`claim/${pod.metadata.namespace ?? ''}/${name}`)
        }),
      )
    })

  return {
    async [Symbol.asyncDispose]() {
      subscriptions.dispose()
      await queue[Symbol.asyncDispose]()
    },
  }
}

const claimsOf = ({ spec }: Pod): readonly string[] =>
  (spec.volumes ?? []).flatMap(({ persistentVolumeClaim: claim }) =>
    claim ? [claim.claimName] : [],
  )
