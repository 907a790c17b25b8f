/**
 * What the status of a CustomResourceDefinition says (apiextensions `controller/status`): whether its names are free,
 * whether it is served, which versions objects may be stored in. Decided in the write itself, so that a definition is
 * established when its POST is answered.
 */
import type { CustomNames, CustomResourceDefinition } from '../../api/custom-resource-definition.ts'
import { rfc3339 } from '../../../lib/clock.ts'

type Condition = NonNullable<NonNullable<CustomResourceDefinition['status']>['conditions']>[number]

/** Names that others in the group have already. */
export interface TakenNames {
  /** plural, singular and short names. */
  readonly resources: ReadonlySet<string>
  /** kind and list kind. */
  readonly kinds: ReadonlySet<string>
}

const none: CustomNames = { plural: '', kind: '' }

/** `definition` with the status that its spec and the names of the others make. */
export function withStatus(
  definition: CustomResourceDefinition,
  taken: TakenNames,
  nowMs: number,
): CustomResourceDefinition {
  const { spec, status } = definition
  const { names } = spec
  const conflict = conflictOf(names, taken)
  const wasEstablished = status?.conditions?.some(
    ({ type, status: is }) => type === 'Established' && is === 'True',
  )
  const storage = spec.versions.find((version) => version.storage)?.name ?? ''
  const storedVersions = [...new Set([...(status?.storedVersions ?? []), storage])]
  const wanted: Omit<Condition, 'lastTransitionTime'>[] = [
    conflict
      ? { type: 'NamesAccepted', status: 'False', ...conflict }
      : {
          type: 'NamesAccepted',
          status: 'True',
          reason: 'NoConflicts',
          message: 'no conflicts found',
        },
    conflict && !wasEstablished
      ? {
          type: 'Established',
          status: 'False',
          reason: 'NotAccepted',
          message: 'not all names are accepted',
        }
      : {
          type: 'Established',
          status: 'True',
          reason: 'InitialNamesAccepted',
          message: 'the initial names have been accepted',
        },
  ]
  const others = (status?.conditions ?? []).filter(
    ({ type }) => type !== 'NonStructuralSchema' && !wanted.some((each) => each.type === type),
  )
  const conditions = [
    ...wanted.map((condition) => dated(condition, status?.conditions, nowMs)),
    ...others,
  ]
  const acceptedNames = conflict ? (status?.acceptedNames ?? none) : names
  return { ...definition, status: { conditions, acceptedNames, storedVersions } }
}

/** `definition` with one more condition. */
export function withCondition(
  definition: CustomResourceDefinition,
  condition: Omit<Condition, 'lastTransitionTime'>,
  nowMs: number,
): CustomResourceDefinition {
  const { conditions = [] } = definition.status ?? {}
  return {
    ...definition,
    status: {
      ...definition.status,
      conditions: [
        ...conditions.filter(({ type }) => type !== condition.type),
        dated(condition, conditions, nowMs),
      ],
    },
  }
}

function dated(
  condition: Omit<Condition, 'lastTransitionTime'>,
  before: readonly Condition[] | undefined,
  nowMs: number,
): Condition {
  const known = before?.find(({ type }) => type === condition.type)
  const since = known?.status === condition.status ? known.lastTransitionTime : undefined
  return { ...condition, lastTransitionTime: since ?? rfc3339(nowMs) }
}

function conflictOf(
  names: CustomNames,
  { resources, kinds }: TakenNames,
): { readonly reason: string; readonly message: string } | undefined {
  const inUse = (reason: string, name: string) => ({
    reason,
    message: `${JSON.stringify(name)} is already in use`,
  })
  if (resources.has(names.plural)) return inUse('PluralConflict', names.plural)
  if (names.singular && resources.has(names.singular))
    return inUse('SingularConflict', names.singular)
  for (const name of names.shortNames ?? [])
    if (resources.has(name)) return inUse('ShortNamesConflict', name)
  if (kinds.has(names.kind)) return inUse('KindConflict', names.kind)
  if (names.listKind && kinds.has(names.listKind)) return inUse('ListKindConflict', names.listKind)
  return undefined
}
