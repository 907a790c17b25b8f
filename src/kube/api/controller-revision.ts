/** ControllerRevision: a template that a StatefulSet or DaemonSet had once; `kubectl rollout history` reads it (apps/v1). */
import type { ControllerRevision as ControllerRevisionType } from 'kubernetes-types/apps/v1.js'
import { ageColumn, nameColumn } from './columns.ts'
import type { KindDefinition } from './kind.ts'
import { controllerOf } from './meta.ts'
import { builtin } from './schema.ts'
import type { Stored } from './stored.ts'
import {
  notNegative,
  refuseInvalid,
  required,
  sameJson,
  wrong,
  type Complaints,
} from './validation.ts'

export type ControllerRevision = Stored<ControllerRevisionType>

export const ControllerRevision: KindDefinition<ControllerRevision> = {
  group: 'apps',
  version: 'v1',
  kind: 'ControllerRevision',
  plural: 'controllerrevisions',
  singular: 'controllerrevision',
  namespaced: true,
  description: 'A ControllerRevision keeps a template that a StatefulSet or DaemonSet had once.',
  schema: builtin<ControllerRevision>('io.k8s.api.apps.v1.ControllerRevision'),
  flavour: 'builtin',
  hasStatus: false,
  hasGeneration: false,
  columns: [
    nameColumn,
    {
      name: 'Controller',
      type: 'string',
      description: 'Whose template it was.',
      value(object) {
        const owner = controllerOf(object)
        if (!owner) return '<none>'
        const group = owner.apiVersion.includes('/') ? `.${owner.apiVersion.split('/')[0]}` : ''
        return `${owner.kind.toLowerCase()}${group}/${owner.name}`
      },
    },
    {
      name: 'Revision',
      type: 'string',
      description: 'The how manieth it is.',
      value: ({ revision }) => String(revision),
    },
    ageColumn,
  ],
  admit: (object, { old }) => refuseInvalid(ControllerRevision, object, problems(object, old)),
}

function* problems(object: ControllerRevision, old: ControllerRevision | undefined): Complaints {
  const data: unknown = object.data
  if (data === undefined) yield required('data', 'data is mandatory')
  yield* notNegative('revision', object.revision)
  if (old && !sameJson(data, old.data)) yield wrong('data', data, 'field is immutable')
}
