/** Makes one X.509 certificate, or the request for one, with a fresh P-256 key; signed by itself or by an authority. */
import {
  createHash,
  createPrivateKey,
  createSign,
  generateKeyPair,
  randomBytes,
  webcrypto,
  X509Certificate,
} from 'node:crypto'
import { isIP } from 'node:net'
import { promisify } from 'node:util'
import {
  bitString,
  directoryString,
  integer,
  octetString,
  oid,
  partsOf,
  sequence,
  set,
  tagged,
  time,
  truth,
} from '../../lib/der.ts'

/** PEM texts: the certificate, and its private key in PKCS#8. */
export interface Issued {
  readonly cert: string
  readonly key: string
}

export interface IssueRequest {
  /** `CN=admin,O=system:masters`, or its parts, where they come from outside. */
  readonly subject: string | Record<string, string[]>[]
  readonly notBefore: Date
  readonly notAfter: Date
  /** Absent = signed by itself. */
  readonly issuer?: Issued
  readonly authority?: boolean
  readonly usage?: 'server' | 'client'
  readonly hosts?: readonly string[]
  readonly ips?: readonly string[]
}

const algorithm = { name: 'ECDSA', namedCurve: 'P-256' }
const signing = { name: 'ECDSA', hash: 'SHA-256' }

/** What an authority signs to certify a fresh key for these names: PKCS#10 in DER, and the key in PEM. */
export async function certificateRequest(
  hosts: readonly string[],
): Promise<{ readonly csr: Uint8Array; readonly privateKey: string }> {
  await import('reflect-metadata') // x509 registers its classes through it
  const x509 = await import('@peculiar/x509')
  const { subtle } = webcrypto
  const keys = await subtle.generateKey(algorithm, true, ['sign', 'verify'])
  const request = await x509.Pkcs10CertificateRequestGenerator.create(
    {
      keys,
      signingAlgorithm: signing,
      extensions: [
        new x509.SubjectAlternativeNameExtension(
          hosts.map((value) => ({ type: 'dns' as const, value })),
        ),
      ],
    },
    webcrypto,
  )
  const key = await subtle.exportKey('pkcs8', keys.privateKey)
  return {
    csr: new Uint8Array(request.rawData),
    privateKey: `${x509.PemConverter.encode(key, 'PRIVATE KEY')}\n`,
  }
}

const oids = {
  CN: '2.5.4.3',
  O: '2.5.4.10',
  ecdsaWithSha256: '1.2.840.10045.4.3.2',
  subjectKey: '2.5.29.14',
  keyUsage: '2.5.29.15',
  alternativeNames: '2.5.29.17',
  basicConstraints: '2.5.29.19',
  authorityKey: '2.5.29.35',
  extendedKeyUsage: '2.5.29.37',
  server: '1.3.6.1.5.5.7.3.1',
  client: '1.3.6.1.5.5.7.3.2',
} as const

/** Issues it (RFC 5280). Written with what Node has: the first start waits for three of them. */
export async function issue(request: IssueRequest): Promise<Issued> {
  const { publicKey, privateKey } = await promisify(generateKeyPair)('ec', { namedCurve: 'P-256' })
  const spki = publicKey.export({ type: 'spki', format: 'der' })
  const issuer = request.issuer && new X509Certificate(request.issuer.cert)
  const signingKey = request.issuer ? createPrivateKey(request.issuer.key) : privateKey
  const subject = nameOf(request.subject)
  const algorithm = sequence(oid(oids.ecdsaWithSha256))
  const keyId = keyIdOf(spki)
  const authorityId = issuer
    ? keyIdOf(issuer.publicKey.export({ type: 'spki', format: 'der' }))
    : keyId
  const { authority = false, usage, hosts = [], ips = [] } = request
  const names = [
    ...hosts.map((host) => tagged(0x82, Buffer.from(host, 'latin1'))),
    ...ips.filter((ip) => isIP(ip) !== 0).map((ip) => tagged(0x87, addressBytes(ip))),
  ]
  const body = sequence(
    tagged(0xa0, integer(Uint8Array.of(2))), // version 3
    integer(randomBytes(16)),
    algorithm,
    issuer ? subjectOf(issuer) : subject,
    sequence(time(request.notBefore), time(request.notAfter)),
    subject,
    spki,
    tagged(
      0xa3,
      sequence(
        extension(oids.basicConstraints, authority ? sequence(truth()) : sequence(), true),
        extension(
          oids.keyUsage,
          // Of an authority: signatures, certificates and lists of revoked ones.
          authority ? bitString(Uint8Array.of(0x86), 1) : bitString(Uint8Array.of(0x80), 7),
          true,
        ),
        ...(usage ? [extension(oids.extendedKeyUsage, sequence(oid(oids[usage])))] : []),
        ...(names.length > 0 ? [extension(oids.alternativeNames, sequence(...names))] : []),
        extension(oids.subjectKey, octetString(keyId)),
        // Python's strict verification asks for it.
        extension(oids.authorityKey, sequence(tagged(0x80, authorityId))),
      ),
    ),
  )
  const signature = createSign('sha256').update(body).sign(signingKey)
  return {
    cert: pem('CERTIFICATE', sequence(body, algorithm, bitString(signature))),
    key: String(privateKey.export({ type: 'pkcs8', format: 'pem' })),
  }
}

const extension = (id: string, value: Uint8Array, critical = false): Uint8Array =>
  sequence(oid(id), ...(critical ? [truth()] : []), octetString(value))

/** `CN=a,O=b`, or its parts: each attribute a part of the name of its own. */
function nameOf(subject: IssueRequest['subject']): Uint8Array {
  const attributes =
    typeof subject === 'string'
      ? subject.split(',').map((part) => {
          const at = part.indexOf('=')
          return [part.slice(0, at).trim(), part.slice(at + 1)] as const
        })
      : subject.flatMap((part) =>
          Object.entries(part).flatMap(([type, values]) =>
            values.map((value) => [type, value] as const),
          ),
        )
  return sequence(
    ...attributes.map(([type, value]) => {
      if (type !== 'CN' && type !== 'O')
        throw new Error(`subject: expected CN or O, found "${type}"`)
      return set(sequence(oid(oids[type]), directoryString(value)))
    }),
  )
}

/** The subject of a certificate, byte for byte: it must be the same where it is the issuer. */
function subjectOf({ raw }: X509Certificate): Uint8Array {
  const [certificate] = partsOf(raw)
  const [body] = partsOf(certificate?.content ?? raw)
  // Its version, serial number, algorithm, issuer and times come first.
  const subject = partsOf(body?.content ?? raw)[5]
  if (!subject) throw new Error('the certificate of the authority has no subject')
  return subject.whole
}

/** SHA-1 of the key's bits: the usual name of a key (RFC 5280 4.2.1.2). */
function keyIdOf(spki: Uint8Array): Uint8Array {
  const [outer] = partsOf(spki)
  const bits = partsOf(outer?.content ?? spki)[1]?.content.subarray(1) ?? spki
  return createHash('sha1').update(bits).digest()
}

function addressBytes(ip: string): Uint8Array {
  const [address = ''] = ip.split('%')
  if (isIP(address) === 4) return Uint8Array.from(address.split('.').map(Number))
  // URLs spell addresses out in one way: without an IPv4 address in them.
  const [left = '', right] = new URL(`http://[${address}]`).hostname.slice(1, -1).split('::')
  const groups = (text = ''): number[] =>
    text === '' ? [] : text.split(':').map((group) => parseInt(group, 16))
  const [head, tail] = [groups(left), groups(right)]
  const zeros = Array.from({ length: 8 - head.length - tail.length }, () => 0)
  return Uint8Array.from([...head, ...zeros, ...tail].flatMap((group) => [group >> 8, group & 255]))
}

function pem(label: string, bytes: Uint8Array): string {
  const lines =
    Buffer.from(bytes)
      .toString('base64')
      .match(/.{1,64}/g) ?? []
  return [`-----BEGIN ${label}-----`, ...lines, `-----END ${label}-----`, ''].join('\n')
}

export interface SignRequest {
  /** PKCS#10 in PEM. */
  readonly request: string
  readonly issuer: Issued
  readonly notBefore: Date
  readonly notAfter: Date
}

/** The PEM of a client certificate for the subject and the key of a request. Throws when the request is not signed by its key. */
export async function sign({ request, issuer, notBefore, notAfter }: SignRequest): Promise<string> {
  await import('reflect-metadata') // x509 registers its classes through it
  const x509 = await import('@peculiar/x509')
  const { subtle } = webcrypto
  const asked = new x509.Pkcs10CertificateRequest(request)
  if (!(await asked.verify(webcrypto)))
    throw new Error('spec.request: its signature does not fit its key')
  const authority = new x509.X509Certificate(issuer.cert)
  const signingKey = await subtle.importKey(
    'pkcs8',
    x509.PemConverter.decodeFirst(issuer.key),
    algorithm,
    false,
    ['sign'],
  )
  const certificate = await x509.X509CertificateGenerator.create(
    {
      serialNumber: Buffer.from(webcrypto.getRandomValues(new Uint8Array(16))).toString('hex'),
      subject: asked.subjectName,
      issuer: authority.subjectName,
      notBefore,
      notAfter,
      publicKey: await asked.publicKey.export(webcrypto),
      signingKey,
      signingAlgorithm: signing,
      extensions: [
        new x509.BasicConstraintsExtension(false, undefined, true),
        new x509.KeyUsagesExtension(
          x509.KeyUsageFlags.digitalSignature | x509.KeyUsageFlags.keyEncipherment,
          true,
        ),
        new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.clientAuth]),
        await x509.AuthorityKeyIdentifierExtension.create(authority.publicKey),
      ],
    },
    webcrypto,
  )
  return `${certificate.toString('pem')}\n`
}

/** The groups that a request (PKCS#10 in PEM) asks to be in. Throws when it cannot be read. */
export async function organizationsOf(request: string): Promise<readonly string[]> {
  await import('reflect-metadata') // x509 registers its classes through it
  const { Pkcs10CertificateRequest } = await import('@peculiar/x509')
  return new Pkcs10CertificateRequest(request).subjectName.getField('O')
}
