/** DaemonSet: one pod on each node that suits it (apps/v1). */
import type { DaemonSet as DaemonSetType } from 'kubernetes-types/apps/v1.js'
import { ageColumn, nameColumn, templateColumns } from './columns.ts'
import { changed } from './container.ts'
import type { Column, KindDefinition } from './kind.ts'
import { alwaysRestartedTemplateProblems, defaultTemplate } from './pod-spec.ts'
import { labelList } from './printer.ts'
import { builtin } from './schema.ts'
import type { Stored } from './stored.ts'
import {
  fill,
  notNegative,
  notSupported,
  refuseInvalid,
  wrong,
  type Complaints,
} from './validation.ts'
import { selectorCell, workloadProblems } from './workload.ts'

export type DaemonSet = Stored<DaemonSetType, 'spec'>
type Strategy = NonNullable<DaemonSet['spec']['updateStrategy']>

const count = (
  name: string,
  description: string,
  value: (status: NonNullable<DaemonSet['status']>) => number | undefined,
): Column<DaemonSet> => ({
  name,
  type: 'integer',
  description,
  value: ({ status }) => (status && value(status)) ?? 0,
})

export const DaemonSet: KindDefinition<DaemonSet> = {
  group: 'apps',
  version: 'v1',
  kind: 'DaemonSet',
  plural: 'daemonsets',
  singular: 'daemonset',
  shortNames: ['ds'],
  categories: ['all'],
  namespaced: true,
  description: 'A DaemonSet runs one pod on each node that suits it.',
  schema: builtin<DaemonSet>('io.k8s.api.apps.v1.DaemonSet'),
  flavour: 'builtin',
  hasStatus: true,
  hasGeneration: true,
  columns: [
    nameColumn,
    count('Desired', 'Nodes that should have its pod.', (status) => status.desiredNumberScheduled),
    count('Current', 'Nodes that have its pod.', (status) => status.currentNumberScheduled),
    count('Ready', 'Nodes on which its pod is ready.', (status) => status.numberReady),
    count('Up-to-date', 'Pods of the current template.', (status) => status.updatedNumberScheduled),
    count(
      'Available',
      'Pods that have been ready for long enough.',
      (status) => status.numberAvailable,
    ),
    {
      name: 'Node Selector',
      type: 'string',
      description: 'Labels of the nodes that it is for.',
      value: ({ spec }) => labelList(spec.template?.spec?.nodeSelector),
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
  admit(set, { subresource, old, operation }) {
    if (subresource === 'status') return set
    const spec = fill(set.spec ?? {}, { revisionHistoryLimit: 10, updateStrategy: {} })
    const defaulted = changed(set, {
      spec: changed(spec, {
        updateStrategy: defaultStrategy(spec.updateStrategy ?? {}),
        ...(spec.template && { template: defaultTemplate(spec.template) }),
      }),
    })
    refuseInvalid(DaemonSet, defaulted, problems(defaulted, old))
    return operation === 'CREATE'
      ? {
          ...defaulted,
          status: {
            currentNumberScheduled: 0,
            desiredNumberScheduled: 0,
            numberMisscheduled: 0,
            numberReady: 0,
          },
        }
      : defaulted
  },
}

function defaultStrategy(strategy: Strategy): Strategy {
  const typed = fill(strategy, { type: 'RollingUpdate' })
  if (typed.type !== 'RollingUpdate') return typed
  const rollingUpdate = fill(typed.rollingUpdate ?? {}, { maxUnavailable: 1, maxSurge: 0 })
  return changed(typed, { rollingUpdate })
}

const asWorkload = ({ apiVersion, kind, metadata, spec }: DaemonSet) => ({
  apiVersion,
  kind,
  metadata,
  spec,
})

function* problems(set: DaemonSet, old: DaemonSet | undefined): Complaints {
  yield* workloadProblems(asWorkload(set), 'daemonset', old && asWorkload(old))
  const { template, updateStrategy, revisionHistoryLimit } = set.spec
  if (template) yield* alwaysRestartedTemplateProblems(template, 'spec.template')
  yield* notNegative('spec.revisionHistoryLimit', revisionHistoryLimit)
  const { type, rollingUpdate } = updateStrategy ?? {}
  if (type !== 'RollingUpdate' && type !== 'OnDelete')
    yield notSupported('spec.updateStrategy.type', type, ['OnDelete', 'RollingUpdate'])
  const { maxSurge = 0, maxUnavailable = 1 } = rollingUpdate ?? {}
  const none = (value: number | string) => Number.parseInt(String(value), 10) === 0
  if (type === 'RollingUpdate' && none(maxSurge) && none(maxUnavailable))
    yield wrong(
      'spec.updateStrategy.rollingUpdate.maxUnavailable',
      maxUnavailable,
      'cannot be 0 when maxSurge is 0',
    )
}
