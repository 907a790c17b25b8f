/**
 * Revision: looks its images up, runs them by a Deployment, has it scaled by a PodAutoscaler, and says how that goes
 * (upstream: pkg/reconciler/revision).
 */
import { Deployment } from '../../../kube/api/deployment.ts'
import { isControlledBy, keyOf } from '../../../kube/api/meta.ts'
import { Pod } from '../../../kube/api/pod.ts'
import type { Plan, PlannedEvent, Reader, Reconciler } from '../../../kube/controller/reconciler.ts'
import { conditionOf, finish } from '../../../knative/conditions.ts'
import { configAutoscaler, type AutoscalerConfig } from '../../api/config/autoscaler.ts'
import { configDefaults } from '../../api/config/defaults.ts'
import { configDeployment, type DeploymentConfig } from '../../api/config/deployment.ts'
import { configFeatures } from '../../api/config/features.ts'
import { configObservability, type ObservabilityConfig } from '../../api/config/observability.ts'
import { Image } from '../../api/image.ts'
import { label } from '../../api/names.ts'
import { PodAutoscaler } from '../../api/pod-autoscaler.ts'
import { Revision, revisionConditions, type RevisionStatus } from '../../api/revision.ts'
import { defaultRevisionSpec } from '../../api/revision-defaults.ts'
import { watchConfigs, type ReadConfig } from '../config.ts'
import { applyDeployment, deploymentName, desiredDeployment } from './deployment.ts'
import type { DigestResolver, Digests } from './digest-resolver.ts'
import { applyImage, desiredImage } from './image.ts'
import { applyPodAutoscaler, desiredPodAutoscaler, reachabilityOf } from './pod-autoscaler.ts'
import { revisionInTrouble } from './pod-failure.ts'
import {
  containerMissing,
  deploying,
  digestError,
  notOwned,
  resolvingDigests,
  withAutoscaler,
  withDeployment,
  withDigests,
} from './status.ts'

export interface World {
  readonly revision: Revision
  readonly digests: Digests
  readonly deployment: Deployment | undefined
  /** One of its pods, not being deleted; only looked for when none is available. */
  readonly pod: Pod | undefined
  readonly autoscaler: PodAutoscaler | undefined
  readonly config: {
    readonly deployment: DeploymentConfig
    readonly autoscaler: AutoscalerConfig
    readonly observability: ObservabilityConfig
  }
}

export const revisionReconciler = (
  readConfig: ReadConfig,
  resolver: DigestResolver,
): Reconciler<Revision, World> => ({
  name: 'revision-controller',
  kind: Revision,
  watches: [
    { kind: Deployment, wake: 'owner' },
    { kind: PodAutoscaler, wake: 'owner' },
    { kind: Image, wake: 'none' },
    { kind: Pod, wake: revisionInTrouble },
    watchConfigs(Revision, configDeployment, configObservability),
  ],

  observe(stored, read) {
    const key = keyOf(stored)
    const revision = isDefaulted(stored) ? stored : defaulted(stored, read, readConfig)
    const { namespace } = key
    const deployment = read.get(Deployment, { namespace, name: deploymentName(key.name) })
    const config = {
      deployment: readConfig(read, configDeployment),
      autoscaler: readConfig(read, configAutoscaler),
      observability: readConfig(read, configObservability),
    }
    return {
      revision,
      digests: resolved(revision) ?? lookUp(revision, resolver, config.deployment),
      deployment,
      pod: deployment?.status?.availableReplicas
        ? undefined
        : read
            .list(Pod, namespace, { [label.revisionUID]: revision.metadata.uid ?? '' })
            .find(({ metadata }) => metadata.deletionTimestamp === undefined),
      autoscaler: read.get(PodAutoscaler, key),
      config,
    }
  },

  plan(world, nowMs) {
    const { revision } = world
    const { generation = 0 } = revision.metadata
    const begun = revisionConditions.begin(revision.status ?? {}, generation, nowMs)
    const { status, ...plan } = decide(world, withLogUrl(begun, world), nowMs)
    const end = finish(status, revision.status, generation, nowMs)
    return { ...plan, status: end, events: [...(plan.events ?? []), ...readyEvent(world, end)] }
  },

  gone(key) {
    resolver.forget(key)
    return {}
  },

  connect: (wake) => resolver.onChange(wake),
})

/** Admission fills these in always: an API server that has none leaves the defaulting to us. */
const isDefaulted = ({ spec }: Revision): boolean =>
  spec.timeoutSeconds !== undefined && spec.containers.every(({ name }) => name)

const defaulted = (revision: Revision, read: Reader, readConfig: ReadConfig): Revision => ({
  ...revision,
  spec: defaultRevisionSpec(revision.spec, {
    defaults: readConfig(read, configDefaults),
    features: readConfig(read, configFeatures),
    isCreate: false,
    parent: revision.metadata,
  }),
})

/** Digests that were found earlier: a Revision is resolved once in its life. */
function resolved({ spec, status }: Revision): Digests | undefined {
  const statuses = [...(status?.containerStatuses ?? []), ...(status?.initContainerStatuses ?? [])]
  const wanted = spec.containers.length + (spec.initContainers?.length ?? 0)
  if (statuses.length !== wanted) return undefined
  const digests = new Map(statuses.map(({ name = '', imageDigest = '' }) => [name, imageDigest]))
  return { kind: 'resolved', digests }
}

const lookUp = (revision: Revision, resolver: DigestResolver, config: DeploymentConfig): Digests =>
  resolver.look({
    key: keyOf(revision),
    uid: revision.metadata.uid ?? '',
    containers: [...(revision.spec.initContainers ?? []), ...revision.spec.containers],
    identity: { namespace: revision.metadata.namespace ?? '', ...revision.spec },
    skip: config.registriesSkippingTagResolving,
    timeoutMs: config.digestResolutionTimeoutMs,
  })

function decide(
  world: World,
  begun: RevisionStatus,
  nowMs: number,
): Plan & { readonly status: RevisionStatus } {
  const { revision, digests, deployment, pod, autoscaler, config } = world
  switch (digests.kind) {
    case 'pending':
      return { status: resolvingDigests(begun, nowMs) }
    case 'failed':
      return digestsFailed(revision, digests, begun, nowMs)
    case 'resolved':
  }
  const { name } = revision.metadata
  let status = withDigests(begun, revision, digests.digests)

  const wanted = desiredDeployment(revision, digests.digests, config)
  if (deployment && !isControlledBy(deployment, revision))
    return {
      status: notOwned(status, 'Deployment', wanted.metadata.name, nowMs),
      error: new Error(`revision: "${name}" does not own Deployment: "${wanted.metadata.name}"`),
    }
  const alwaysSchedulable = config.deployment.podIsAlwaysSchedulable
  status = deployment
    ? withDeployment(status, deployment, pod, alwaysSchedulable, nowMs)
    : deploying(status, nowMs)
  const apply = [
    applyDeployment(wanted),
    ...revision.spec.containers.map((container) =>
      applyImage(desiredImage(revision, container, digests.digests)),
    ),
  ]
  if (autoscaler && !isControlledBy(autoscaler, revision))
    return {
      apply,
      status: notOwned(status, 'PodAutoscaler', name, nowMs),
      error: new Error(`revision: "${name}" does not own PodAutoscaler: "${name}"`),
    }
  const reachability = reachabilityOf(revision, status, deployment)
  return {
    apply: [...apply, applyPodAutoscaler(desiredPodAutoscaler(revision, reachability))],
    status: withAutoscaler(status, autoscaler, nowMs),
  }
}

function digestsFailed(
  { status: stored }: Revision,
  failed: Extract<Digests, { kind: 'failed' }>,
  begun: RevisionStatus,
  nowMs: number,
): Plan & { readonly status: RevisionStatus } {
  const status = containerMissing(begun, failed.image, failed.message, nowMs)
  const before = conditionOf(stored, 'ContainerHealthy')
  const now = conditionOf(status, 'ContainerHealthy')
  // The resolver keeps the back-off, so the failure is told once and not with every retry.
  const events: readonly PlannedEvent[] =
    before?.status === 'False' && before.message === now?.message
      ? []
      : [{ type: 'Warning', reason: 'InternalError', message: digestError(failed.message) }]
  const requeueAfterMs = failed.retryAtMs - nowMs
  // When it is due it is being tried right now, and its end wakes the Revision.
  return { status, events, ...(requeueAfterMs > 0 && { requeueAfterMs }) }
}

function withLogUrl(status: RevisionStatus, { revision, config }: World): RevisionStatus {
  const { logUrl: _, ...rest } = status
  const template = config.observability.revisionUrlTemplate
  if (!template) return rest
  return { ...rest, logUrl: template.replaceAll('${REVISION_UID}', revision.metadata.uid ?? '') }
}

const readyEvent = ({ revision }: World, next: RevisionStatus): readonly PlannedEvent[] =>
  conditionOf(next, 'Ready')?.status === 'True' &&
  conditionOf(revision.status, 'Ready')?.status !== 'True'
    ? [
        {
          type: 'Normal',
          reason: 'RevisionReady',
          message: 'Revision becomes ready upon all resources being ready',
        },
      ]
    : []
