/** Deployment: equal pods kept running, changes of the template rolled out. */
import type { Deployment as DeploymentType } from 'kubernetes-types/apps/v1.js'
import { ageColumn, nameColumn, templateColumns } from './columns.ts'
import { changed } from './container.ts'
import type { KindDefinition } from './kind.ts'
import { alwaysRestartedTemplateProblems, defaultTemplate } from './pod-spec.ts'
import { builtin } from './schema.ts'
import type { Stored } from './stored.ts'
import {
  fill,
  notAllowed,
  notNegative,
  notSupported,
  refuseInvalid,
  wrong,
  type Complaints,
} from './validation.ts'
import { selectorCell, workloadProblems, workloadScale } from './workload.ts'

export type Deployment = Stored<DeploymentType, 'spec'>
type Strategy = NonNullable<Deployment['spec']['strategy']>

export const Deployment: KindDefinition<Deployment> = {
  group: 'apps',
  version: 'v1',
  kind: 'Deployment',
  plural: 'deployments',
  singular: 'deployment',
  shortNames: ['deploy'],
  categories: ['all'],
  namespaced: true,
  description:
    'A Deployment keeps a number of equal pods running and rolls out changes of their template.',
  schema: builtin<Deployment>('io.k8s.api.apps.v1.Deployment'),
  flavour: 'builtin',
  hasStatus: true,
  hasGeneration: true,
  scale: workloadScale<Deployment>(),
  columns: [
    nameColumn,
    {
      name: 'Ready',
      type: 'string',
      description: 'Ready pods, of those that should be.',
      value: ({ spec, status }) => `${status?.readyReplicas ?? 0}/${spec.replicas ?? 1}`,
    },
    {
      name: 'Up-to-date',
      type: 'string',
      description: 'Pods of the current template.',
      value: ({ status }) => String(status?.updatedReplicas ?? 0),
    },
    {
      name: 'Available',
      type: 'string',
      description: 'Pods that have been ready for long enough.',
      value: ({ status }) => String(status?.availableReplicas ?? 0),
    },
    ageColumn,
    ...templateColumns,
    {
      name: 'Selector',
      type: 'string',
      priority: 1,
      description: 'Labels of its pods.',
      value: selectorCell,
    },
  ],
  admit(deployment, { subresource, old }) {
    if (subresource === 'status') return deployment
    const defaulted = changed(deployment, { spec: defaultSpec(deployment.spec ?? {}) })
    return refuseInvalid(Deployment, defaulted, problems(defaulted, old))
  },
}

function defaultSpec(spec: Deployment['spec']): Deployment['spec'] {
  const filled = fill(spec, {
    replicas: 1,
    strategy: {},
    revisionHistoryLimit: 10,
    progressDeadlineSeconds: 600,
  })
  return changed(filled, {
    strategy: defaultStrategy(filled.strategy ?? {}),
    ...(filled.template && { template: defaultTemplate(filled.template) }),
  })
}

function defaultStrategy(strategy: Strategy): Strategy {
  const typed = fill(strategy, { type: 'RollingUpdate' })
  if (typed.type !== 'RollingUpdate') return typed
  const rollingUpdate = fill(typed.rollingUpdate ?? {}, { maxSurge: '25%', maxUnavailable: '25%' })
  return changed(typed, { rollingUpdate })
}

function* problems(deployment: Deployment, old: Deployment | undefined): Complaints {
  yield* workloadProblems(deployment, 'deployment', old)
  const { spec } = deployment
  yield* strategyProblems(spec.strategy ?? {}, 'spec.strategy')
  yield* notNegative('spec.revisionHistoryLimit', spec.revisionHistoryLimit)
  const { progressDeadlineSeconds: deadline, minReadySeconds = 0 } = spec
  yield* notNegative('spec.progressDeadlineSeconds', deadline)
  if (deadline !== undefined && deadline <= minReadySeconds)
    yield wrong('spec.progressDeadlineSeconds', deadline, 'must be greater than minReadySeconds')
  if (spec.template) yield* alwaysRestartedTemplateProblems(spec.template, 'spec.template')
}

function* strategyProblems({ type, rollingUpdate }: Strategy, at: string): Complaints {
  if (type !== 'RollingUpdate' && type !== 'Recreate')
    return yield notSupported(`${at}.type`, type, ['Recreate', 'RollingUpdate'])
  if (type === 'Recreate') {
    if (rollingUpdate)
      yield notAllowed(
        `${at}.rollingUpdate`,
        "may not be specified when strategy `type` is 'Recreate'",
      )
    return
  }
  const { maxSurge = 0, maxUnavailable = 0 } = rollingUpdate ?? {}
  for (const [field, value] of Object.entries({ maxSurge, maxUnavailable })) {
    if (typeof value === 'number') yield* notNegative(`${at}.rollingUpdate.${field}`, value)
    else if (!/^[0-9]+%$/.test(value))
      yield wrong(
        `${at}.rollingUpdate.${field}`,
        value,
        "a valid percent string must be a numeric string followed by an ending '%' (e.g. '1%',  or '93%', regex used for validation is '[0-9]+%')",
      )
  }
  if (
    Number.parseInt(String(maxSurge), 10) === 0 &&
    Number.parseInt(String(maxUnavailable), 10) === 0
  )
    yield wrong(
      `${at}.rollingUpdate.maxUnavailable`,
      maxUnavailable,
      'may not be 0 when `maxSurge` is 0',
    )
  if (Number.parseInt(String(maxUnavailable), 10) > 100 && String(maxUnavailable).endsWith('%'))
    yield wrong(
      `${at}.rollingUpdate.maxUnavailable`,
      maxUnavailable,
      'must not be greater than 100%',
    )
}
