/** resourceVersion on reads: everything is answered as of now, so only "not yet" has to be waited for. */
import { StatusError, badRequest } from '../../api/status-error.ts'
import { invalidOption } from '../http/option-errors.ts'
import type { Target } from '../machinery.ts'

const patienceMs = 3000

/** A resourceVersion as a revision. Throws BadRequest when it is no number. */
export function parseRevision(text: string): number {
  if (/^\d{1,16}$/.test(text)) return Number(text)
  throw badRequest(
    `Invalid value: ${JSON.stringify(text)}: strconv.ParseUint: parsing ${JSON.stringify(text)}: invalid syntax`,
  )
}

/** Waits up to 3 s for the revision that the request wants to see at least. Throws Timeout. */
export async function waitForRevision(target: Target): Promise<void> {
  const { options } = target.request
  const text = options.resourceVersion ?? ''
  if (text === '') return
  const wanted = parseRevision(text)
  const { store, clock } = target.machinery
  if (wanted <= store.revision) return
  await new Promise<void>((resolve) => {
    const done = (): void => {
      cancel()
      subscription[Symbol.dispose]()
      target.request.signal?.removeEventListener('abort', done)
      resolve()
    }
    const cancel = clock.after(patienceMs, done)
    const subscription = store.subscribe(({ revision }) => {
      if (revision >= wanted) done()
    })
    target.request.signal?.addEventListener('abort', done, { once: true })
  })
  if (wanted <= store.revision) return
  throw new StatusError(
    'Timeout',
    `Timeout: Too large resource version: ${wanted}, current: ${store.revision}`,
    {
      causes: [{ reason: 'ResourceVersionTooLarge', message: 'Too large resource version' }],
      retryAfterSeconds: 1,
    },
  )
}

/** Checks `resourceVersionMatch` of a list. Throws Invalid with Kubernetes' words. */
export function checkListOptions(target: Target): void {
  const {
    resourceVersion = '',
    resourceVersionMatch: match = '',
    sendInitialEvents,
  } = target.request.options
  if (sendInitialEvents !== undefined)
    throw invalidOption(
      'ListOptions',
      'sendInitialEvents',
      'Forbidden: sendInitialEvents is forbidden for list',
      'FieldValueForbidden',
    )
  if (match === '') return
  if (match !== 'Exact' && match !== 'NotOlderThan')
    throw invalidOption(
      'ListOptions',
      'resourceVersionMatch',
      `Unsupported value: ${JSON.stringify(match)}: supported values: "Exact", "NotOlderThan", ""`,
      'FieldValueNotSupported',
    )
  if (resourceVersion === '')
    throw invalidOption(
      'ListOptions',
      'resourceVersionMatch',
      'Forbidden: resourceVersionMatch is forbidden unless resourceVersion is provided',
      'FieldValueForbidden',
    )
  if (target.request.options.continue)
    throw invalidOption(
      'ListOptions',
      'resourceVersionMatch',
      'Forbidden: resourceVersionMatch is forbidden when continue is provided',
      'FieldValueForbidden',
    )
  if (match === 'Exact' && parseRevision(resourceVersion) === 0)
    throw invalidOption(
      'ListOptions',
      'resourceVersionMatch',
      'Forbidden: resourceVersionMatch "exact" is forbidden for resourceVersion "0"',
      'FieldValueForbidden',
    )
}
