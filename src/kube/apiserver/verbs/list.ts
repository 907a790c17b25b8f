/**
 * LIST with selectors, paging and resourceVersion. Answers the stored objects themselves;
 * a whole list of ten thousand costs a walk over the index.
 */
import type { KubeObject } from '../../api/meta.ts'
import type { ApiResponse, ObjectList } from '../../api/protocol.ts'
import { StatusError, badRequest } from '../../api/status-error.ts'
import { Compacted } from '../../store/store.ts'
import type { Page, StoreKey } from '../../store/store.ts'
import { checkListOptions, parseRevision, waitForRevision } from './freshness.ts'
import { answerBody, apiVersionOfTarget, present } from '../machinery.ts'
import type { Target } from '../machinery.ts'
import { storeKey } from '../registry.ts'
import { selectionOf } from './selection.ts'
import type { Selection } from './selection.ts'
import { fieldsOf } from '../values.ts'

export async function list(target: Target): Promise<ApiResponse> {
  checkListOptions(target)
  const from = startOf(target)
  if (!from.token) await waitForRevision(target)
  return answerBody(target, 200, collect(target, selectionOf(target), from))
}

interface Start {
  readonly limit?: number
  readonly after?: StoreKey
  /** As of this revision; absent = now. */
  readonly at?: number
  readonly token: boolean
}

function startOf({ request: { options } }: Target): Start {
  const { resourceVersion = '', resourceVersionMatch: match = '', limit = 0 } = options
  const paged = limit > 0 ? { limit } : {}
  if (options.continue) {
    if (resourceVersion !== '')
      throw badRequest('specifying resource version is not allowed when using continue')
    return { ...paged, ...parseToken(options.continue), token: true }
  }
  // A list at "0" may come from a cache, which knows no pages.
  if (resourceVersion === '0') return { token: false }
  const exact = match === 'Exact' || (match === '' && resourceVersion !== '' && limit > 0)
  return { ...paged, ...(exact && { at: parseRevision(resourceVersion) }), token: false }
}

function collect(target: Target, selection: Selection, from: Start): ObjectList {
  const { items, revision, next, remaining } = readPage(target, selection, from)
  const shown = target.served ? items.map((object) => present(target, object)) : items
  return {
    apiVersion: apiVersionOfTarget(target),
    kind: `${target.kind.kind}List`,
    metadata: {
      resourceVersion: String(revision),
      ...(next !== undefined && { continue: writeToken(revision, next) }),
      ...(next !== undefined && !selection.selective && { remainingItemCount: remaining }),
    },
    items: shown,
  }
}

function readPage(target: Target, { prefix, matches }: Selection, from: Start): Page {
  const { store } = target.machinery
  try {
    if (!matches) return store.list(prefix, from)
    const { limit, ...place } = from
    const found: KubeObject[] = []
    // One key more than asked tells whether there is a next page; the index is walked, not copied, in chunks.
    if (limit === undefined) {
      const all = store.list(prefix, place)
      return { ...all, items: all.items.filter(matches) }
    }
    let after = from.after
    let at = from.at
    for (;;) {
      const chunk = store.list(prefix, {
        limit: Math.max(limit, 500),
        ...(after !== undefined && { after }),
        ...(at !== undefined && { at }),
      })
      at = chunk.revision
      for (const object of chunk.items) {
        if (!matches(object)) continue
        if (found.length === limit) {
          const last = found[limit - 1]
          const next = last && keyIn(target, last)
          return { items: found, revision: at, remaining: 0, ...(next !== undefined && { next }) }
        }
        found.push(object)
      }
      if (chunk.next === undefined) return { items: found, revision: at, remaining: 0 }
      after = chunk.next
    }
  } catch (thrown) {
    if (!(thrown instanceof Compacted)) throw thrown
    if (!from.token)
      throw new StatusError('Expired', 'The resourceVersion for the provided list is too old.')
    throw new StatusError(
      'Expired',
      'The provided continue parameter is too old to display a consistent list result. You can start a new list without the continue parameter, or use the continue token in this response to retrieve the remainder of the results. Continuing with the provided token results in an inconsistent list - objects that were created, modified, or deleted between the time the first chunk was returned and now may show up in the list.',
      {},
      { metadata: { continue: writeToken(anyRevision, from.after ?? '') } },
    )
  }
}

const keyIn = ({ kind }: Target, object: KubeObject): StoreKey =>
  storeKey(kind, { namespace: object.metadata.namespace ?? '', name: object.metadata.name })

/** In a token: what follows may be of another moment than what came before. */
const anyRevision = -1

/** Kubernetes' own form of a continue token, so that tools that look inside find what they know. */
function writeToken(revision: number, after: StoreKey): string {
  const token = { v: 'meta.k8s.io/v1', rv: revision, start: `${after}\u0000` }
  return Buffer.from(JSON.stringify(token)).toString('base64url')
}

function parseToken(text: string): { readonly after: StoreKey; readonly at?: number } {
  try {
    const token: unknown = JSON.parse(Buffer.from(text, 'base64url').toString())
    const { rv, start } = fieldsOf(token)
    if (typeof rv === 'number' && Number.isSafeInteger(rv) && typeof start === 'string') {
      const after = start.replace(/\0$/, '')
      return rv === anyRevision ? { after } : { at: rv, after }
    }
  } catch {
    // Falls through: a token that is no JSON is as bad as one of another shape.
  }
  throw badRequest(`invalid continue token: ${JSON.stringify(text.slice(0, 100))}`)
}
