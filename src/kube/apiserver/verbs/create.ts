/** POST to a collection: a new object with the server's identity, admitted, in a namespace that takes it. */
import { randomName } from '../../../lib/random.ts'
import type { KubeObject } from '../../api/meta.ts'
import type { ApiResponse } from '../../api/protocol.ts'
import { StatusError, alreadyExists, invalid } from '../../api/status-error.ts'
import type { Write } from '../../store/store.ts'
import { admit } from '../admission.ts'
import type { Entry } from '../apply/managers.ts'
import { writtenEntries } from '../apply/managers.ts'
import { trackedCreate, withEntries } from '../apply/tracking.ts'
import { refuseTooLarge } from './commit.ts'
import { checkPlace, readObject } from './body.ts'
import { answer, isKind, readStored, settled } from '../machinery.ts'
import type { Target } from '../machinery.ts'
import { createdMetadata, metadataProblems } from '../metadata.ts'
import { furnishNamespace, newNamespace, requireNamespace } from '../namespaces.ts'
import { storeKey } from '../registry.ts'
import { without } from '../values.ts'

/** generateName: the prefix is cut so that the whole stays a DNS label. */
const generatedPrefixLength = 58
const generateTries = 8

export async function create(target: Target): Promise<ApiResponse> {
  const { object, writes } = createNow(target, readObject(target, 'CreateOptions'))
  await settled(target, ...writes)
  return answer(target, 201, object)
}

/**
 * Everything of a create up to durability, in one synchronous step. `given` is in the storage version; `applied`: its
 * field managers, when it was made by server-side apply.
 */
export function createNow(
  target: Target,
  given: KubeObject,
  applied?: readonly Entry[],
): { readonly object: KubeObject; readonly writes: readonly Write[] } {
  const { kind, machinery, request } = target
  const namespace = checkPlace(target, given)
  if (given.metadata.resourceVersion)
    throw new StatusError(
      'InternalError',
      'resourceVersion should not be set on objects to be created',
    )
  const name = chooseName(target, given, namespace)
  if (request.verb !== 'create') requireCreation(target, namespace, name)
  if (kind.namespaced) requireNamespace(target, namespace, name)

  const nowMs = machinery.clock.now()
  const named: KubeObject = {
    ...fresh(target, given),
    metadata: createdMetadata(kind, given.metadata, name, namespace, {
      random: machinery.random,
      nowMs,
    }),
  }
  const prepared = isKind(kind, '', 'Namespace') ? newNamespace(named) : named
  const problems = metadataProblems(kind, prepared)
  if (problems.length > 0) throw invalid(kind, name, problems)

  const key = storeKey(kind, { namespace, name })
  // Before admission, which may have effects outside (an address taken) that a refusal would have to undo.
  if (machinery.store.get(key)) throw alreadyExists(kind, name)
  const admitted = admit(target, 'CREATE', prepared)
  const tracked = applied
    ? withEntries(admitted, writtenEntries(applied))
    : trackedCreate(target, admitted)
  refuseTooLarge(target, tracked)
  if (request.options.dryRun) return { object: tracked, writes: [] }
  const write = machinery.store.put(key, tracked, 0)
  const more = isKind(kind, '', 'Namespace') ? furnishNamespace(machinery, name) : []
  return { object: write.object, writes: [write, ...more] }
}

/** Who may update or apply may not for that make what is not there. */
function requireCreation({ machinery, kind, request }: Target, namespace: string, name: string) {
  const refusal = machinery.access.authorizer.authorize(request.user, {
    verb: 'create',
    group: kind.group,
    resource: kind.plural,
    subresource: '',
    namespace: isKind(kind, '', 'Namespace') ? name : namespace,
    name,
  })
  if (refusal) throw refusal
}

const emptyStatus = { status: {} }

/** Status is a writer of its own: what a create says of it is dropped. */
const fresh = ({ kind }: Target, given: KubeObject): KubeObject =>
  !kind.hasStatus
    ? given
    : kind.flavour === 'builtin'
      ? { ...given, ...emptyStatus }
      : without(given, 'status')

function chooseName(target: Target, { metadata }: KubeObject, namespace: string): string {
  const { kind, machinery } = target
  const given = target.name || metadata.name
  if (given) return given
  const { generateName } = metadata
  if (!generateName)
    throw invalid(kind, '', [
      {
        reason: 'FieldValueRequired',
        field: 'metadata.name',
        detail: 'Required value: name or generateName is required',
      },
    ])
  let name = ''
  for (let i = 0; i < generateTries; i++) {
    name = generateName.slice(0, generatedPrefixLength) + randomName(machinery.random)
    if (!readStored(machinery, kind, { namespace, name })) break
  }
  return name
}
