/**
 * WATCH: synthetic ADDED at the start where asked, then every change once, in revision order,
 * seen through the request's selectors; bookmarks about once a minute and before a timed end.
 */
import type { KubeObject } from '../../api/meta.ts'
import type { ApiResponse, WatchEvent } from '../../api/protocol.ts'
import { StatusError } from '../../api/status-error.ts'
import { Compacted } from '../../store/store.ts'
import type { Change } from '../../store/store.ts'
import { parseRevision, waitForRevision } from './freshness.ts'
import { answerBody, apiVersionOfTarget, present } from '../machinery.ts'
import type { Target } from '../machinery.ts'
import { invalidOption } from '../http/option-errors.ts'
import { selectionOf } from './selection.ts'
import type { Selection } from './selection.ts'

const bookmarkEveryMs = 60_000

export function watch(target: Target): ApiResponse {
  checkWatchOptions(target)
  const selection = selectionOf(target)
  return { ...answerBody(target, 200, undefined), events: follow(target, selection) }
}

function checkWatchOptions({ request: { options } }: Target): void {
  const { resourceVersion = '', resourceVersionMatch: match = '', sendInitialEvents } = options
  if (resourceVersion !== '') parseRevision(resourceVersion)
  if (sendInitialEvents === undefined) {
    if (match !== '')
      throw invalidOption(
        'ListOptions',
        'resourceVersionMatch',
        'Forbidden: resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided',
        'FieldValueForbidden',
      )
  } else if (match !== 'NotOlderThan')
    throw invalidOption(
      'ListOptions',
      'resourceVersionMatch',
      'Forbidden: sendInitialEvents requires setting resourceVersionMatch to NotOlderThan',
      'FieldValueForbidden',
    )
}

async function* follow(target: Target, selection: Selection): AsyncGenerator<WatchEvent> {
  const { request, machinery } = target
  const { options, signal } = request
  const { store, clock } = machinery
  const { prefix, matches } = selection
  const { resourceVersion = '', sendInitialEvents } = options
  const unset = resourceVersion === '' || resourceVersion === '0'
  const initial = sendInitialEvents ?? unset
  // "Not older than" a revision that is still to come: the events so far would be.
  if (sendInitialEvents === true && !unset) await waitForRevision(target)
  const page = initial ? store.list(prefix) : undefined
  const after = page?.revision ?? (unset ? store.revision : parseRevision(resourceVersion))

  try {
    using watch = store.watch(prefix, after)
    for (const object of page?.items ?? []) {
      if (!matches || matches(object)) yield { type: 'ADDED', object: present(target, object) }
    }
    const wantsBookmarks = options.allowWatchBookmarks === true
    if (sendInitialEvents === true && wantsBookmarks)
      yield bookmark(target, after, { 'k8s.io/initial-events-end': 'true' })

    // One loop waits for whichever comes first: a change, the bookmark's alarm, the end of the time, an abort.
    let arrived: IteratorResult<Change> | undefined
    let failed: { readonly thrown: unknown } | undefined
    let bookmarkDue = false
    let ending = signal?.aborted ?? false
    let timedOut = false
    let resume = (): void => {}
    let seen = after

    const iterator = watch.changes[Symbol.asyncIterator]()
    const ask = (): void => {
      iterator.next().then(
        (result) => {
          arrived = result
          resume()
        },
        (thrown: unknown) => {
          failed = { thrown }
          resume()
        },
      )
    }
    let cancelBookmark = (): void => {}
    const armBookmark = (): void => {
      cancelBookmark = clock.after(bookmarkEveryMs, () => {
        bookmarkDue = true
        resume()
      })
    }
    const cancelEnd =
      options.timeoutSeconds !== undefined && options.timeoutSeconds > 0
        ? clock.after(options.timeoutSeconds * 1000, () => {
            timedOut = true
            resume()
          })
        : (): void => {}
    const abort = (): void => {
      ending = true
      resume()
    }
    signal?.addEventListener('abort', abort, { once: true })
    if (wantsBookmarks) armBookmark()
    try {
      ask()
      for (;;) {
        if (!arrived && !failed && !bookmarkDue && !timedOut && !ending)
          await new Promise<void>((resolve) => {
            resume = resolve
          })
        if (ending) return
        if (arrived) {
          const { done, value } = arrived
          arrived = undefined
          if (done) return
          ask()
          seen = value.revision
          const event = eventOf(target, matches, value)
          if (event) yield event
        } else if (failed) throw failed.thrown
        else {
          // A change of this very moment has been published but not yet reached `arrived`: it goes first.
          const revision = store.revision
          await Promise.resolve()
          if (arrived) continue
          seen = Math.max(seen, revision)
          if (wantsBookmarks) yield bookmark(target, seen)
          if (timedOut) return
          bookmarkDue = false
          armBookmark()
        }
      }
    } finally {
      cancelBookmark()
      cancelEnd()
      signal?.removeEventListener('abort', abort)
    }
  } catch (thrown) {
    if (thrown instanceof Compacted)
      throw new StatusError(
        'Expired',
        `too old resource version: ${thrown.requested} (${thrown.oldest})`,
      )
    throw thrown
  }
}

/** The change as this watcher sees it; undefined when it concerns objects that it does not select. */
function eventOf(
  target: Target,
  matches: Selection['matches'],
  change: Change,
): WatchEvent | undefined {
  const { type, object, previous } = change
  if (!matches || type === 'ADDED')
    return !matches || matches(object) ? { type, object: present(target, object) } : undefined
  const before = previous !== undefined && matches(previous)
  if (type === 'DELETED') return before ? { type, object: present(target, object) } : undefined
  const now = matches(object)
  if (now) return { type: before ? 'MODIFIED' : 'ADDED', object: present(target, object) }
  if (!before) return undefined
  const { resourceVersion } = object.metadata
  const left: KubeObject = {
    ...previous,
    metadata: { ...previous.metadata, ...(resourceVersion !== undefined && { resourceVersion }) },
  }
  return { type: 'DELETED', object: present(target, left) }
}

/** Only a type and a resourceVersion: "you have seen everything up to here". */
function bookmark(
  target: Target,
  revision: number,
  annotations?: Readonly<Record<string, string>>,
): WatchEvent {
  const object: KubeObject = {
    apiVersion: apiVersionOfTarget(target),
    kind: target.kind.kind,
    metadata: { name: '', resourceVersion: String(revision), ...(annotations && { annotations }) },
  }
  return { type: 'BOOKMARK', object }
}
