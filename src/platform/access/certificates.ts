/**
 * The platform's own certificate authority, serving certificate and admin credential, in files of the data
 * directory.
 */
import { createPrivateKey, X509Certificate } from 'node:crypto'
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises'
import { isIP } from 'node:net'
import { join } from 'node:path'
import type { Clock } from '../../lib/clock.ts'
import { issue, type Issued, type IssueRequest } from './certificate-issue.ts'

/** PEM texts. */
export interface Certificates {
  readonly ca: string
  readonly serverCert: string
  readonly serverKey: string
  /** Client certificate of user `admin` in group `system:masters`. */
  readonly adminCert: string
  readonly adminKey: string
}

export interface CertificateOptions {
  /** DNS names of the server besides localhost and kubernetes.default.svc. */
  readonly hosts: readonly string[]
  /** Addresses of the server besides 127.0.0.1 and ::1. */
  readonly ips: readonly string[]
  readonly clock: Clock
}

const DAY_MS = 86_400_000
const CA_DAYS = 3650
const LEAF_DAYS = 365
/** A certificate with less than this left is made anew at the next start. */
const RENEW_DAYS = 30

const alwaysHosts = [
  'localhost',
  'kubernetes',
  'kubernetes.default',
  'kubernetes.default.svc',
  'kubernetes.default.svc.cluster.local',
]
/** 10.96.0.1 is the first address of the service range: default/kubernetes. */
const alwaysIps = ['127.0.0.1', '::1', '10.96.0.1']

/**
 * Reads `ca`, `server` and `admin` (`.crt` and `.key` each) in `directory` and makes what is missing, unreadable,
 * near its end, of another authority, or (the server's) without one of the names. Files are for their owner only.
 */
export async function ensureCertificates(
  directory: string,
  { hosts, ips, clock }: CertificateOptions,
): Promise<Certificates> {
  await mkdir(directory, { recursive: true, mode: 0o700 })
  const nowMs = clock.now()
  const span = (days: number) => ({
    // An hour back, for clients whose clock is a little behind.
    notBefore: new Date(nowMs - 3_600_000),
    notAfter: new Date(nowMs + days * DAY_MS),
  })

  const knownAuthority = await readPair(directory, 'ca')
  const ca: Issued =
    knownAuthority && lasts(knownAuthority, nowMs)
      ? knownAuthority
      : await make('ca', { subject: 'CN=ebb', authority: true, ...span(CA_DAYS) })

  const leaf = async (
    name: string,
    usable: (certificate: X509Certificate) => boolean,
    request: Leaf,
  ) => {
    const known = await readPair(directory, name)
    if (known && lasts(known, nowMs) && signedBy(known, ca) && usable(known.parsed)) return known
    return make(name, { ...request, issuer: ca, ...span(LEAF_DAYS) })
  }
  const names = [...new Set([...alwaysHosts, ...hosts])]
  const addresses = [...new Set([...alwaysIps, ...ips])].filter((ip) => isIP(ip) !== 0)
  const server = await leaf('server', (found) => covers(found, names, addresses), {
    subject: 'CN=ebb-apiserver',
    usage: 'server',
    hosts: names,
    ips: addresses,
  })
  const admin = await leaf('admin', () => true, {
    subject: 'CN=admin,O=system:masters',
    usage: 'client',
  })
  return {
    ca: ca.cert,
    serverCert: server.cert,
    serverKey: server.key,
    adminCert: admin.cert,
    adminKey: admin.key,
  }

  async function make(name: string, request: IssueRequest): Promise<Issued> {
    const made = await issue(request)
    await writePair(directory, name, made)
    return made
  }
}

interface Leaf {
  readonly subject: string
  readonly usage: 'server' | 'client'
  readonly hosts?: readonly string[]
  readonly ips?: readonly string[]
}

interface Known extends Issued {
  readonly parsed: X509Certificate
}

export async function readPair(directory: string, name: string): Promise<Known | undefined> {
  try {
    const cert = await readFile(join(directory, `${name}.crt`), 'utf8')
    const key = await readFile(join(directory, `${name}.key`), 'utf8')
    const parsed = new X509Certificate(cert)
    return parsed.checkPrivateKey(createPrivateKey(key)) ? { cert, key, parsed } : undefined
  } catch {
    return undefined // missing or damaged: made anew
  }
}

export async function writePair(
  directory: string,
  name: string,
  { cert, key }: Issued,
): Promise<void> {
  await writeOwn(join(directory, `${name}.key`), key)
  await writeOwn(join(directory, `${name}.crt`), cert)
}

/** Whole or not at all, and never readable by others, not even for a moment. */
async function writeOwn(path: string, text: string): Promise<void> {
  await writeFile(`${path}.new`, text, { mode: 0o600 })
  await rename(`${path}.new`, path)
}

const lasts = ({ cert }: Issued, nowMs: number): boolean =>
  Date.parse(new X509Certificate(cert).validTo) - nowMs > RENEW_DAYS * DAY_MS

const signedBy = (known: Known, issuer: Issued): boolean =>
  known.parsed.verify(new X509Certificate(issuer.cert).publicKey)

const covers = (
  certificate: X509Certificate,
  hosts: readonly string[],
  ips: readonly string[],
): boolean =>
  hosts.every((host) => certificate.checkHost(host, { subject: 'never' }) !== undefined) &&
  ips.every((ip) => certificate.checkIP(ip) !== undefined)
