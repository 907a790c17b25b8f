/**
 * Signs approved CertificateSigningRequests of `kubernetes.io/kube-apiserver-client` with the platform's own authority,
 * so that a person gets a client certificate by `kubectl certificate approve`.
 */
import { sleep, type Clock } from '../../lib/clock.ts'
import type { Log } from '../../lib/log.ts'
import {
  CertificateSigningRequest,
  hasCondition,
} from '../../kube/api/certificate-signing-request.ts'
import type { Informers } from '../../kube/client/informer.ts'
import type { TypedClient } from '../../kube/client/typed-client.ts'
import { readPair } from './certificates.ts'
import { organizationsOf, sign } from './certificate-issue.ts'

export const clientSigner = 'kubernetes.io/kube-apiserver-client'

const dayMs = 86_400_000
const defaultLifeMs = 365 * dayMs
const retryMs = 1_000

export interface SignerOptions {
  readonly client: TypedClient
  readonly informers: Informers
  readonly clock: Clock
  readonly log: Log
  /** Folder with `ca.crt` and `ca.key`. */
  readonly certificates: string
}

/** Works until disposed. Requests for other signers are left alone. */
export function startCertificateSigner(options: SignerOptions): Disposable {
  const { client, informers, clock, log } = options
  const stop = new AbortController()
  const busy = new Set<string>()
  const consider = async (request: CertificateSigningRequest): Promise<void> => {
    const { name } = request.metadata
    if (request.spec.signerName !== clientSigner || !hasCondition(request, 'Approved')) return
    if (request.status?.certificate || hasCondition(request, 'Failed') || busy.has(name)) return
    busy.add(name)
    try {
      const status = await answer(request, options)
      await client.updateStatus<CertificateSigningRequest>(CertificateSigningRequest, {
        ...request,
        status: { ...request.status, ...status },
      })
    } catch (error) {
      // Changed meanwhile, or the disk is full: seen again, if it is still there.
      log.info('a certificate could not be issued, it is tried again', { request: name, error })
      await sleep(clock, retryMs, stop.signal)
      busy.delete(name)
      const now = informers.for(CertificateSigningRequest).get({ namespace: '', name })
      if (now && !stop.signal.aborted) void consider(now)
      return
    }
    busy.delete(name)
  }
  const subscription = informers
    .for(CertificateSigningRequest)
    .subscribe((type, request) => void (type !== 'DELETED' && consider(request)))
  return {
    [Symbol.dispose]: () => {
      stop.abort()
      subscription[Symbol.dispose]()
    },
  }
}

async function claims({ spec }: CertificateSigningRequest, group: string): Promise<boolean> {
  try {
    const names = await organizationsOf(Buffer.from(spec.request, 'base64').toString())
    return names.includes(group)
  } catch {
    return false // refused below, with what is wrong with it
  }
}

async function answer(
  request: CertificateSigningRequest,
  { clock, certificates }: SignerOptions,
): Promise<Partial<NonNullable<CertificateSigningRequest['status']>>> {
  const failed = (message: string) => ({
    conditions: [
      ...(request.status?.conditions ?? []),
      { type: 'Failed', status: 'True', reason: 'SignerValidationFailure', message },
    ],
  })
  const { usages = [], expirationSeconds } = request.spec
  const allowed = new Set(['client auth', 'digital signature', 'key encipherment'])
  if (!usages.includes('client auth') || !usages.every((usage) => allowed.has(usage)))
    return failed(
      `usages: expected "client auth", "digital signature" and "key encipherment" at most, found ${JSON.stringify(usages)}`,
    )
  if (await claims(request, 'system:masters'))
    return failed(`the group system:masters is not given by ${clientSigner}`)
  const issuer = await readPair(certificates, 'ca')
  if (!issuer) throw new Error(`there is no authority in ${certificates}`)
  const lifeMs = expirationSeconds === undefined ? defaultLifeMs : expirationSeconds * 1000
  const nowMs = clock.now()
  try {
    const certificate = await sign({
      request: Buffer.from(request.spec.request, 'base64').toString(),
      issuer,
      notBefore: new Date(nowMs - 300_000),
      notAfter: new Date(nowMs + Math.min(lifeMs, defaultLifeMs)),
    })
    return { certificate: Buffer.from(certificate).toString('base64') }
  } catch (error) {
    return failed(error instanceof Error ? error.message : String(error))
  }
}
