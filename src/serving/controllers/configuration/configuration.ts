/**
 * Configuration: makes a Revision of each generation of its template and reports the newest and the newest ready one
 * (upstream: pkg/reconciler/configuration).
 */
import { keyOf } from '../../../kube/api/meta.ts'
import { alreadyExists } from '../../../kube/api/status-error.ts'
import type { Plan, Reconciler } from '../../../kube/controller/reconciler.ts'
import { finish } from '../../../knative/conditions.ts'
import {
  Configuration,
  configurationConditions,
  type ConfigurationStatus,
} from '../../api/configuration.ts'
import { label } from '../../api/names.ts'
import { Revision } from '../../api/revision.ts'
import { nameConflict } from './named-revision.ts'
import { desiredRevision, revisionName } from './revision.ts'
import { creationFailed, withLatestCreated, withRevisions } from './status.ts'

export interface World {
  readonly configuration: Configuration
  /** All that carry its label. */
  readonly revisions: readonly Revision[]
  /** Whoever bears the name of the Revision of this generation. */
  readonly named: Revision | undefined
}

export const configurationReconciler: Reconciler<Configuration, World> = {
  name: 'configuration-controller',
  kind: Configuration,
  watches: [{ kind: Revision, wake: 'owner' }],

  observe(configuration, read) {
    const { namespace, name } = keyOf(configuration)
    return {
      configuration,
      revisions: read.list(Revision, namespace, { [label.configuration]: name }),
      named: read.get(Revision, { namespace, name: revisionName(configuration) }),
    }
  },

  plan(world, nowMs) {
    const { configuration } = world
    const { generation = 0 } = configuration.metadata
    const end = (status: ConfigurationStatus) =>
      finish(status, configuration.status, generation, nowMs)
    const begun = configurationConditions.begin(configuration.status ?? {}, generation, nowMs)
    const { status, ...plan } = decide(world, begun, nowMs)
    return {
      ...plan,
      status: end(status),
      ...(plan.apply && {
        statusOnFailure: ({ message }: Error) => end(creationFailed(begun, message, nowMs)),
      }),
    }
  },
}

function decide(
  { configuration, revisions, named }: World,
  begun: ConfigurationStatus,
  nowMs: number,
): Plan & { readonly status: ConfigurationStatus } {
  const name = revisionName(configuration)
  const created = currentRevision(configuration, revisions, named)
  if (created === 'taken') {
    const { message } = alreadyExists(Revision, name)
    return { status: creationFailed(begun, message, nowMs) }
  }
  if (created)
    return withRevisions(
      withLatestCreated(begun, created.metadata.name, nowMs),
      configuration,
      created,
      revisions,
      nowMs,
    )
  return {
    apply: [
      {
        kind: Revision,
        desired: desiredRevision(configuration, nowMs),
        // Revisions don't change.
        merge: (existing) => existing,
        created: { type: 'Normal', reason: 'Created', message: `Created Revision "${name}"` },
        createFailed: {
          type: 'Warning',
          reason: 'CreationFailed',
          message: 'Failed to create Revision: ',
        },
      },
    ],
    status: withLatestCreated(begun, name, nowMs),
  }
}

/** The Revision of this generation; undefined when it is to be made. */
function currentRevision(
  configuration: Configuration,
  revisions: readonly Revision[],
  named: Revision | undefined,
): Revision | 'taken' | undefined {
  if (configuration.spec.template.metadata?.name) {
    if (!named) return undefined
    return nameConflict(configuration, named) ? 'taken' : named
  }
  const generation = String(configuration.metadata.generation ?? 0)
  const found = revisions.find(
    ({ metadata }) => metadata.labels?.[label.configurationGeneration] === generation,
  )
  return found ?? (named && 'taken')
}
