/** Makes one X.509 certificate, or the request for one, with a fresh P-256 key; signed by itself or by an authority. */
import { webcrypto } from 'node:crypto'
import { isIP } from 'node:net'

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

/** Issues it. Loads `@peculiar/x509`, which takes about a tenth of a second. */
export async function issue(request: IssueRequest): Promise<Issued> {
  await import('reflect-metadata') // x509 registers its classes through it
  const x509 = await import('@peculiar/x509')
  const { subtle } = webcrypto
  const keys = await subtle.generateKey(algorithm, true, ['sign', 'verify'])
  const issuer = request.issuer
    ? {
        certificate: new x509.X509Certificate(request.issuer.cert),
        signingKey: await subtle.importKey(
          'pkcs8',
          x509.PemConverter.decodeFirst(request.issuer.key),
          algorithm,
          false,
          ['sign'],
        ),
      }
    : undefined
  const names = [
    ...(request.hosts ?? []).map((value) => ({ type: 'dns' as const, value })),
    ...(request.ips ?? [])
      .filter((ip) => isIP(ip) !== 0)
      .map((value) => ({ type: 'ip' as const, value })),
  ]
  const { KeyUsageFlags, ExtendedKeyUsage } = x509
  const certificate = await x509.X509CertificateGenerator.create(
    {
      serialNumber: Buffer.from(webcrypto.getRandomValues(new Uint8Array(16))).toString('hex'),
      subject: request.subject,
      issuer: issuer ? issuer.certificate.subjectName : request.subject,
      notBefore: request.notBefore,
      notAfter: request.notAfter,
      publicKey: keys.publicKey,
      signingKey: issuer ? issuer.signingKey : keys.privateKey,
      signingAlgorithm: signing,
      extensions: [
        new x509.BasicConstraintsExtension(request.authority ?? false, undefined, true),
        new x509.KeyUsagesExtension(
          request.authority
            ? KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign | KeyUsageFlags.digitalSignature
            : KeyUsageFlags.digitalSignature,
          true,
        ),
        ...(request.usage
          ? [
              new x509.ExtendedKeyUsageExtension([
                request.usage === 'server'
                  ? ExtendedKeyUsage.serverAuth
                  : ExtendedKeyUsage.clientAuth,
              ]),
            ]
          : []),
        ...(names.length > 0 ? [new x509.SubjectAlternativeNameExtension(names)] : []),
        await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
        // Python's strict verification asks for it.
        await x509.AuthorityKeyIdentifierExtension.create(
          issuer ? issuer.certificate.publicKey : keys.publicKey,
        ),
      ],
    },
    webcrypto,
  )
  const key = await subtle.exportKey('pkcs8', keys.privateKey)
  return {
    cert: `${certificate.toString('pem')}\n`,
    key: `${x509.PemConverter.encode(key, 'PRIVATE KEY')}\n`,
  }
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
