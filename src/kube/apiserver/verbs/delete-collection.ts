/** DELETE of a collection: each selected object by the rules of a single DELETE; answers the list of them. */
import type { KubeObject } from '../../api/meta.ts'
import type { ApiResponse } from '../../api/protocol.ts'
import type { Write } from '../../store/store.ts'
import { admitDelete } from '../admission.ts'
import { Awaiting } from './awaiting.ts'
import { removeNow } from './delete.ts'
import {
  answerBody,
  apiVersionOfTarget,
  isKind,
  methodNotAllowed,
  present,
  readStored,
  settled,
} from '../machinery.ts'
import type { Target } from '../machinery.ts'
import { selectionOf } from './selection.ts'

export async function removeCollection(target: Target): Promise<ApiResponse> {
  if (isKind(target.kind, '', 'Namespace')) throw methodNotAllowed()
  const { store } = target.machinery
  const { prefix, matches } = selectionOf(target)
  askFirst(target, store.list(prefix).items, matches)
  const items: KubeObject[] = []
  const writes: Write[] = []
  for (const { metadata } of store.list(prefix).items) {
    const { name, namespace = '' } = metadata
    // Read again: a listener of the store may have answered an earlier deletion with a write.
    const object = readStored(target.machinery, target.kind, { namespace, name })
    if (!object || (matches && !matches(object))) continue
    const removed = removeNow({ ...target, name, namespace }, object)
    items.push(present(target, removed.object))
    writes.push(...removed.writes)
  }
  await settled(target, ...writes)
  return answerBody(target, 200, {
    apiVersion: apiVersionOfTarget(target),
    kind: `${target.kind.kind}List`,
    metadata: { resourceVersion: String(store.revision) },
    items,
  })
}

/** How many are asked about at a time. */
const asksAtOnce = 20

/** Everyone who must be asked is asked about all objects before the first one goes. Throws `Awaiting` until then. */
function askFirst(
  target: Target,
  objects: readonly KubeObject[],
  matches: ((object: KubeObject) => boolean) | undefined,
): void {
  if (!target.machinery.extensions) return
  const open: Awaiting[] = []
  for (const object of objects) {
    if (matches && !matches(object)) continue
    const { name, namespace = '' } = object.metadata
    try {
      admitDelete({ ...target, name, namespace }, object)
    } catch (thrown) {
      if (!(thrown instanceof Awaiting)) throw thrown
      open.push(thrown)
    }
  }
  if (open.length > 0)
    throw new Awaiting(async () => {
      for (let i = 0; i < open.length; i += asksAtOnce)
        await Promise.all(open.slice(i, i + asksAtOnce).map(({ work }) => work()))
    })
}
