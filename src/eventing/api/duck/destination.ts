/** Destination and KReference: whom events are sent to, by reference or by URI (knative.dev/pkg duck/v1). */
import {
  disallowedFields,
  genericError,
  invalidValue,
  missingField,
  via,
  type FieldError,
} from '../../../knative/field-error.ts'
import type { AdmissionContext } from '../../../kube/api/kind.ts'
import { object, string, type Static } from '../../../kube/api/schema.ts'
import { featuresOf } from '../config/read.ts'

export const KReference = object(
  {
    address: string({ description: 'Which of several addresses of the object.' }),
    apiVersion: string({ description: 'API version of the referent.' }),
    group: string({ description: 'Group of the API, without the version.' }),
    kind: string({ description: 'Kind of the referent.' }),
    name: string({ description: 'Name of the referent.' }),
    namespace: string({ description: 'Namespace of the referent; its own when absent.' }),
  },
  { description: 'Points to an object.' },
)
export type KReference = Static<typeof KReference>

/** For kinds that have them beside other fields. */
export const destinationFields = {
  ref: KReference,
  uri: string({
    description: 'An absolute URL; with ref, a relative one that is resolved against its URL.',
  }),
  CACerts: string({ description: 'Certificates to trust, PEM.' }),
  audience: string({ description: 'Whom tokens are meant for.' }),
}

export const Destination = object(destinationFields, { description: 'Where events are sent.' })
export type Destination = Static<typeof Destination>

/** The reference in the namespace of who refers, unless it says another. */
export const inNamespace = (ref: KReference, namespace: string): KReference => ({
  ...ref,
  namespace: ref.namespace || namespace,
})

/** The same for a Destination; undefined stays undefined. */
export const destinationIn = <D extends Destination | undefined>(to: D, namespace: string): D =>
  to?.ref ? { ...to, ref: inNamespace(to.ref, namespace) } : to

/** `namespace`: no other is allowed. `context`: where config-features is read; without it, `group` is refused. */
export function* validateReference(
  ref: KReference,
  {
    namespace,
    context,
  }: { readonly namespace?: string; readonly context?: Pick<AdmissionContext, 'read'> } = {},
): Generator<FieldError> {
  const groups = ref.group !== undefined && context && featuresOf(context).kreferenceGroup
  if (!ref.name) yield missingField('name')
  if (!ref.apiVersion && !ref.group) yield missingField('apiVersion')
  if (!ref.kind) yield missingField('kind')
  if (ref.group && !groups) yield disallowedFields('group')
  if (namespace !== undefined && ref.namespace && ref.namespace !== namespace)
    yield {
      message: 'mismatched namespaces',
      paths: ['namespace'],
      details: `parent namespace: "${namespace}" does not match ref: "${ref.namespace}"`,
    }
}

export function* validateDestination(
  to: Destination,
  context?: Pick<AdmissionContext, 'read'>,
): Generator<FieldError> {
  const { ref, uri, CACerts } = to
  if (!ref && !uri) yield { message: 'expected at least one, got none', paths: ['ref', 'uri'] }
  if (ref && uri && isAbsolute(uri))
    yield genericError(
      'Absolute URI is not allowed when Ref or [apiVersion, kind, name] is present',
      '[apiVersion, kind, name]',
      'ref',
      'uri',
    )
  if (!ref && uri && !isAbsolute(uri))
    yield genericError(
      'Relative URI is not allowed when Ref and [apiVersion, kind, name] is absent',
      'uri',
    )
  if (ref) yield* via('ref', validateReference(ref, { ...(context && { context }) }))
  if (CACerts && !areCertificates(CACerts))
    yield invalidValue(CACerts, 'CACerts', 'CA Cert provided is invalid')
}

/** With a scheme and a host, whatever they are. */
const isAbsolute = (uri: string): boolean => /^[a-z][a-z0-9+.-]*:\/\/[^/?#]/i.test(uri)

/** There are blocks of PEM, and each is a certificate. */
function areCertificates(pem: string): boolean {
  const blocks = pem.match(/-----BEGIN [A-Z0-9 ]+-----[\s\S]*?-----END [A-Z0-9 ]+-----/g) ?? []
  return (
    blocks.length > 0 &&
    blocks.every((block) => {
      const [, base64] =
        /^-----BEGIN CERTIFICATE-----([A-Za-z0-9+/=\s]+)-----END CERTIFICATE-----$/.exec(block) ??
        []
      return base64 !== undefined && isCertificate(base64)
    })
  )
}

/** In DER's outer form (X.509): a sequence of what is certified, an algorithm and a signature, and nothing behind it. */
function isCertificate(base64: string): boolean {
  let bytes: Uint8Array
  try {
    bytes = Uint8Array.from(atob(base64.replaceAll(/\s/g, '')), (each) => each.charCodeAt(0))
  } catch {
    return false
  }
  const whole = derElements(bytes)
  const [certificate] = whole ?? []
  if (whole?.length !== 1 || certificate?.tag !== sequence) return false
  const parts = derElements(certificate.content)
  return parts?.map(({ tag }) => tag).join() === [sequence, sequence, bitString].join()
}

const sequence = 0x30
const bitString = 0x03

/** The elements that stand one after the other; undefined = it is not DER. */
function derElements(
  bytes: Uint8Array,
): readonly { readonly tag: number; readonly content: Uint8Array }[] | undefined {
  const found = []
  for (let at = 0; at < bytes.length;) {
    const [tag = 0, short = 0x80] = bytes.subarray(at, at + 2)
    const more = short < 0x80 ? 0 : short - 0x80
    if (short === 0x80 || more > 4) return undefined
    const begin = at + 2 + more
    const length =
      more === 0 ? short : bytes.subarray(at + 2, begin).reduce((sum, each) => sum * 256 + each, 0)
    if (begin + length > bytes.length) return undefined
    found.push({ tag, content: bytes.subarray(begin, begin + length) })
    at = begin + length
  }
  return found
}
