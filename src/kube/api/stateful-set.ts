/** StatefulSet: pods with names and volumes of their own, made and replaced in order (apps/v1). */
import type { StatefulSet as StatefulSetType } from 'kubernetes-types/apps/v1.js'
import { ageColumn, nameColumn, templateColumns } from './columns.ts'
import { changed } from './container.ts'
import type { KindDefinition } from './kind.ts'
import { alwaysRestartedTemplateProblems, defaultTemplate } from './pod-spec.ts'
import { builtin } from './schema.ts'
import type { Stored } from './stored.ts'
import {
  fill,
  mapSame,
  notAllowed,
  notNegative,
  notSupported,
  refuseInvalid,
  sameJson,
  type Complaints,
} from './validation.ts'
import { workloadProblems, workloadScale } from './workload.ts'

export type StatefulSet = Stored<StatefulSetType, 'spec'>
type ClaimTemplate = NonNullable<StatefulSet['spec']['volumeClaimTemplates']>[number]

export const StatefulSet: KindDefinition<StatefulSet> = {
  group: 'apps',
  version: 'v1',
  kind: 'StatefulSet',
  plural: 'statefulsets',
  singular: 'statefulset',
  shortNames: ['sts'],
  categories: ['all'],
  namespaced: true,
  description:
    'A StatefulSet runs pods that keep their names and volumes, and starts and stops them in order.',
  schema: builtin<StatefulSet>('io.k8s.api.apps.v1.StatefulSet'),
  flavour: 'builtin',
  hasStatus: true,
  hasGeneration: true,
  scale: workloadScale<StatefulSet>(),
  columns: [
    nameColumn,
    {
      name: 'Ready',
      type: 'string',
      description: 'Ready pods, of those that should be.',
      value: ({ spec, status }) => `${status?.readyReplicas ?? 0}/${spec.replicas ?? 1}`,
    },
    ageColumn,
    ...templateColumns,
  ],
  admit(set, { subresource, old, operation }) {
    if (subresource === 'status') return set
    const defaulted = changed(set, { spec: defaultSpec(set.spec ?? {}) })
    refuseInvalid(StatefulSet, defaulted, problems(defaulted, old))
    return operation === 'CREATE'
      ? { ...defaulted, status: { replicas: 0, availableReplicas: 0 } }
      : defaulted
  },
}

function defaultSpec(spec: StatefulSet['spec']): StatefulSet['spec'] {
  const filled = fill(spec, {
    replicas: 1,
    podManagementPolicy: 'OrderedReady',
    revisionHistoryLimit: 10,
    updateStrategy: {},
    persistentVolumeClaimRetentionPolicy: {},
  })
  const strategy = fill(filled.updateStrategy ?? {}, { type: 'RollingUpdate' })
  return changed(filled, {
    updateStrategy:
      strategy.type === 'RollingUpdate'
        ? changed(strategy, { rollingUpdate: fill(strategy.rollingUpdate ?? {}, { partition: 0 }) })
        : strategy,
    persistentVolumeClaimRetentionPolicy: fill(filled.persistentVolumeClaimRetentionPolicy ?? {}, {
      whenDeleted: 'Retain',
      whenScaled: 'Retain',
    }),
    ...(filled.template && { template: defaultTemplate(filled.template) }),
    ...(filled.volumeClaimTemplates && {
      volumeClaimTemplates: mapSame(filled.volumeClaimTemplates, defaultClaim),
    }),
  })
}

const defaultClaim = (claim: ClaimTemplate): ClaimTemplate => ({
  ...claim,
  apiVersion: 'v1',
  kind: 'PersistentVolumeClaim',
  spec: fill(claim.spec ?? {}, { volumeMode: 'Filesystem' }),
  status: { phase: 'Pending' },
})

/** The template with the volumes that its claims will be: containers mount them by the names of the claims. */
function withClaims({ template, volumeClaimTemplates: claims = [] }: StatefulSet['spec']) {
  const names = claims.map(({ metadata }) => metadata?.name ?? '')
  const own = (template?.spec?.volumes ?? []).filter(({ name }) => !names.includes(name))
  const volumes = [
    ...own,
    ...names.map((name) => ({ name, persistentVolumeClaim: { claimName: name } })),
  ]
  const spec = template?.spec ?? { containers: [] }
  return { ...template, spec: claims.length > 0 ? { ...spec, volumes } : spec }
}

/** What may change of one that is there. */
const changeable = new Set([
  'replicas',
  'ordinals',
  'template',
  'updateStrategy',
  'revisionHistoryLimit',
  'persistentVolumeClaimRetentionPolicy',
  'minReadySeconds',
])

function* problems(set: StatefulSet, old: StatefulSet | undefined): Complaints {
  const { spec } = set
  const own = (each: StatefulSet) =>
    Object.fromEntries(Object.entries(each.spec).filter(([key]) => !changeable.has(key)))
  // The selector is complained about below, together with everything else that stays.
  yield* workloadProblems(set, 'statefulset', undefined)
  if (spec.template) yield* alwaysRestartedTemplateProblems(withClaims(spec), 'spec.template')
  yield* notNegative('spec.revisionHistoryLimit', spec.revisionHistoryLimit)
  yield* notNegative('spec.ordinals.start', spec.ordinals?.start)
  const { podManagementPolicy, updateStrategy } = spec
  if (podManagementPolicy !== 'OrderedReady' && podManagementPolicy !== 'Parallel')
    yield notSupported('spec.podManagementPolicy', podManagementPolicy, [
      'OrderedReady',
      'Parallel',
    ])
  if (updateStrategy?.type !== 'RollingUpdate' && updateStrategy?.type !== 'OnDelete')
    yield notSupported('spec.updateStrategy', updateStrategy?.type, ['OnDelete', 'RollingUpdate'])
  yield* notNegative(
    'spec.updateStrategy.rollingUpdate.partition',
    updateStrategy?.rollingUpdate?.partition,
  )
  if (updateStrategy?.type === 'OnDelete' && updateStrategy.rollingUpdate)
    yield notAllowed(
      'spec.updateStrategy.rollingUpdate',
      "only allowed for updateStrategy 'RollingUpdate'",
    )
  const { whenDeleted, whenScaled } = spec.persistentVolumeClaimRetentionPolicy ?? {}
  for (const [field, value] of Object.entries({ whenDeleted, whenScaled }))
    if (value !== 'Retain' && value !== 'Delete')
      yield notSupported(`spec.persistentVolumeClaimRetentionPolicy.${field}`, value, [
        'Delete',
        'Retain',
      ])
  if (old && !sameJson(own(set), own(old)))
    yield notAllowed(
      'spec',
      "updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', 'updateStrategy', 'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden",
    )
}
