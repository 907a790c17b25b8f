/**
 * Hot path. The header fields that a proxy treats specially, as small numbers: the parser hashes a name while it checks
 * it, so that later passes compare numbers instead of strings in any letter case.
 */

/** Numbers of the known fields. `other` is every field a proxy passes on untouched. */
export const Field = {
  other: 0,
  host: 1,
  connection: 2,
  contentLength: 3,
  transferEncoding: 4,
  expect: 5,
  upgrade: 6,
  keepAlive: 7,
  proxyConnection: 8,
  te: 9,
  trailer: 10,
  proxyAuthenticate: 11,
  proxyAuthorization: 12,
  http2Settings: 13,
  forwarded: 14,
  xForwardedFor: 15,
  xForwardedProto: 16,
  xForwardedHost: 17,
  xRequestId: 18,
  userAgent: 19,
  knativeServingRevision: 20,
  knativeServingNamespace: 21,
  knativeServingTag: 22,
  knativeServingDefaultRoute: 23,
  knativeDirectLb: 24,
  kNetworkProbe: 25,
  kNetworkHash: 26,
  kProxyRequest: 27,
  kOriginalHost: 28,
  kPassthroughLb: 29,
  kKubeletProbe: 30,
  date: 31,
} as const
export type Field = (typeof Field)[keyof typeof Field]

const spellings: Readonly<Record<string, Field>> = {
  host: Field.host,
  connection: Field.connection,
  'content-length': Field.contentLength,
  'transfer-encoding': Field.transferEncoding,
  expect: Field.expect,
  upgrade: Field.upgrade,
  'keep-alive': Field.keepAlive,
  'proxy-connection': Field.proxyConnection,
  te: Field.te,
  trailer: Field.trailer,
  'proxy-authenticate': Field.proxyAuthenticate,
  'proxy-authorization': Field.proxyAuthorization,
  'http2-settings': Field.http2Settings,
  forwarded: Field.forwarded,
  'x-forwarded-for': Field.xForwardedFor,
  'x-forwarded-proto': Field.xForwardedProto,
  'x-forwarded-host': Field.xForwardedHost,
  'x-request-id': Field.xRequestId,
  'user-agent': Field.userAgent,
  'knative-serving-revision': Field.knativeServingRevision,
  'knative-serving-namespace': Field.knativeServingNamespace,
  'knative-serving-tag': Field.knativeServingTag,
  'knative-serving-default-route': Field.knativeServingDefaultRoute,
  'knative-direct-lb': Field.knativeDirectLb,
  'k-network-probe': Field.kNetworkProbe,
  'k-network-hash': Field.kNetworkHash,
  'k-proxy-request': Field.kProxyRequest,
  'k-original-host': Field.kOriginalHost,
  'k-passthrough-lb': Field.kPassthroughLb,
  'k-kubelet-probe': Field.kKubeletProbe,
  date: Field.date,
}

/** For each byte: its lower-case code when it may stand in a token (RFC 9110 5.6.2), else 0. */
export const tokenLower = new Uint8Array(256)
for (const letter of "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
  tokenLower[letter.charCodeAt(0)] = letter.toLowerCase().charCodeAt(0)

/** For each byte: 1 when it may stand in a field value (visible, space, tab, obs-text). */
export const valueByte = new Uint8Array(256).map((_, code) =>
  code === 9 || (code >= 32 && code !== 127) ? 1 : 0,
)

/** One step of the hash over lower-case codes of a name. Starts at 0. */
export const hashStep = (hash: number, lowerCode: number): number =>
  (Math.imul(hash, 31) + lowerCode) | 0

const byHash = new Map<number, { readonly name: string; readonly field: Field }>()
for (const [name, field] of Object.entries(spellings)) {
  let hash = 0
  for (let i = 0; i < name.length; i++) hash = hashStep(hash, name.charCodeAt(i))
  if (byHash.has(hash)) throw new Error(`header names collide: ${name}`)
  byHash.set(hash, { name, field })
}

/** True when `name` in lower case is `lower`. */
export function sameName(name: string, lower: string): boolean {
  if (name.length !== lower.length) return false
  for (let i = 0; i < name.length; i++)
    if (tokenLower[name.charCodeAt(i)] !== lower.charCodeAt(i)) return false
  return true
}

/** The field of a name with this hash. Compares the whole name: hashes can be made to collide. */
export function fieldOf(hash: number, name: string): Field {
  const known = byHash.get(hash)
  return known !== undefined && sameName(name, known.name) ? known.field : Field.other
}
