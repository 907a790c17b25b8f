/**
 * What a Revision's template may ask of the gateway beyond Knative: `ebb.dev/long-lived-streams` and
 * `ebb.dev/session-affinity`. Here are their words and what is refused about them.
 */
import type { FieldError } from '../../knative/field-error.ts'
import type { StringMap } from '../../kube/api/meta.ts'

/** `"true"` or `"false"`: whether upgraded connections and event streams are free of timeoutSeconds. */
const longLivedStreamsKey = 'ebb.dev/long-lived-streams'
/** `cookie`, `cookie:<Name>` or `header:<Name>`: whose requests stay with one pod. */
export const sessionAffinityKey = 'ebb.dev/session-affinity'

/** The cookie that the gateway sets when the annotation names none. */
const defaultCookie = 'ebb-session'

export type SessionAffinity = { readonly cookie: string } | { readonly header: string }

/** What the annotations say; nothing of what they do not say, or say wrongly. */
export function dataPlaneAnnotations(annotations: StringMap | undefined): {
  readonly longLivedStreams?: boolean
  readonly sessionAffinity?: SessionAffinity
} {
  const streams = annotations?.[longLivedStreamsKey]
  const affinity = parseAffinity(annotations?.[sessionAffinityKey])
  return {
    ...((streams === 'true' || streams === 'false') && { longLivedStreams: streams === 'true' }),
    ...(affinity && { sessionAffinity: affinity }),
  }
}

const name = /^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,64}$/

function parseAffinity(text: string | undefined): SessionAffinity | undefined {
  if (text === undefined) return undefined
  if (text === 'cookie') return { cookie: defaultCookie }
  const colon = text.indexOf(':')
  const value = text.slice(colon + 1)
  if (colon < 0 || !name.test(value)) return undefined
  switch (text.slice(0, colon)) {
    case 'cookie':
      return { cookie: value }
    case 'header':
      return { header: value }
    default:
      return undefined
  }
}

/** Complaints about the annotations of a template; paths begin behind `annotations`. */
export function* validateDataPlane(annotations: StringMap): Generator<FieldError> {
  const streams = annotations[longLivedStreamsKey]
  if (streams !== undefined && streams !== 'true' && streams !== 'false')
    yield {
      message: `invalid value: ${streams}`,
      paths: [longLivedStreamsKey],
      details:
        'expected "true" (upgraded connections and event streams are free of timeoutSeconds) or "false"',
    }
  const affinity = annotations[sessionAffinityKey]
  if (affinity !== undefined && !parseAffinity(affinity))
    yield {
      message: `invalid value: ${affinity}`,
      paths: [sessionAffinityKey],
      details:
        'expected "cookie", "cookie:<Name>" or "header:<Name>", for example header:X-User: requests with the same value go to the same pod',
    }
}
