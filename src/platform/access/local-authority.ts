/**
 * The authority that signs certificates of hosts no public authority knows: a key and a certificate in the data
 * directory, made once. Who trusts `local-ca.crt` trusts every host of this platform; it signs nothing else, least of all
 * the API server's certificates.
 */
import { X509Certificate } from 'node:crypto'
import { mkdir } from 'node:fs/promises'
import { hostname } from 'node:os'
import { join } from 'node:path'
import type { Clock } from '../../lib/clock.ts'
import type { LocalAuthority } from '../../serving/controllers/certificate/issuance.ts'
import { issue, type Issued } from './certificate-issue.ts'
import { readPair, writePair } from './certificates.ts'

const DAY_MS = 86_400_000
const CA_DAYS = 3650
/** Apple's systems take 825 days at most from a private authority; the shorter the better, as renewal costs nothing. */
const LEAF_DAYS = 90
/** For clients whose clock is a little behind. */
const BACK_MS = 3_600_000
const name = 'local-ca'

/** Where its certificate lies, for people who want to trust it. */
export const localAuthorityPath = (directory: string): string => join(directory, `${name}.crt`)

/** Makes the authority unless the directory has one that will last. */
export async function ensureLocalAuthority(
  directory: string,
  clock: Clock,
): Promise<LocalAuthority> {
  await mkdir(directory, { recursive: true, mode: 0o700 })
  const nowMs = clock.now()
  const span = (fromMs: number, days: number) => ({
    notBefore: new Date(fromMs - BACK_MS),
    notAfter: new Date(fromMs + days * DAY_MS),
  })
  const known = await readPair(directory, name)
  let ca: Issued | undefined = known && lasts(known, nowMs) ? known : undefined
  if (!ca) {
    ca = await issue({
      subject: `CN=Ebb local CA (${hostname().replace(/[^\w.-]/g, '')})`,
      authority: true,
      ...span(nowMs, CA_DAYS),
    })
    await writePair(directory, name, ca)
  }
  const issuer = ca
  return {
    ca: issuer.cert,
    async sign(names) {
      const [first = ''] = names
      const { cert, key } = await issue({
        // Clients look at the names only; a common name has 64 bytes at most (X.520).
        subject: first.length <= 64 ? `CN=${first}` : 'O=Ebb',
        usage: 'server',
        hosts: names,
        issuer,
        ...span(clock.now(), LEAF_DAYS),
      })
      return { chain: cert, privateKey: key, ca: issuer.cert }
    },
  }
}

/** Leaves must not outlive it. */
const lasts = ({ cert }: Issued, nowMs: number): boolean =>
  Date.parse(new X509Certificate(cert).validTo) - nowMs > 2 * LEAF_DAYS * DAY_MS
