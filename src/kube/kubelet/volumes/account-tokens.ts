/**
 * Tokens of service accounts for pods, asked of the API server (TokenRequest) and bound to the pod. Each is kept until
 * four fifths of its life, or a day, are over, as the kubelet does.
 */
import type { Clock } from '../../../lib/clock.ts'
import type { Kind } from '../../api/kind.ts'
import type { Pod } from '../../api/pod.ts'
import { ServiceAccount } from '../../api/service-account.ts'
import { hasReason } from '../../api/status-error.ts'
import type { Client } from '../../client/client.ts'
import type { TokenRequest } from './projected-files.ts'

/** The client with subresources; one without them has no tokens to give. */
interface TokenClient extends Client {
  subresource?(
    verb: 'create' | 'update',
    kind: Kind,
    key: { readonly namespace: string; readonly name: string },
    name: string,
    body: Readonly<Record<string, unknown>>,
  ): Promise<unknown>
}

export interface AccountTokens {
  /** Undefined where the server has no tokens to give. Rejects with its refusal. */
  get(pod: Pod, request: TokenRequest): Promise<string | undefined>
  /** When the first of a pod's tokens is to be asked for again; undefined = it has none. */
  renewAtMs(podUid: string): number | undefined
  forget(podUid: string): void
}

interface Held {
  readonly token: string
  readonly renewAtMs: number
}

const lifeUsed = 0.8
const longestMs = 24 * 3_600_000

export function accountTokens(client: TokenClient, clock: Clock): AccountTokens {
  const pods = new Map<string, Map<string, Held>>()

  const ask = async (pod: Pod, { audience, expirationSeconds }: TokenRequest) => {
    const { namespace = '', name, uid = '' } = pod.metadata
    const account = pod.spec.serviceAccountName ?? 'default'
    const boundObjectRef = { apiVersion: 'v1', kind: 'Pod', name, uid }
    return await client.subresource?.(
      'create',
      ServiceAccount,
      { namespace, name: account },
      'token',
      {
        apiVersion: 'authentication.k8s.io/v1',
        kind: 'TokenRequest',
        metadata: { name: account, namespace },
        spec: { expirationSeconds, boundObjectRef, audiences: audience ? [audience] : [] },
      },
    )
  }

  return {
    async get(pod, request) {
      const { uid = '' } = pod.metadata
      const key = `${request.audience ?? ''} ${request.expirationSeconds}`
      const known = pods.get(uid)?.get(key)
      const nowMs = clock.now()
      if (known && nowMs < known.renewAtMs) return known.token
      const given = statusOf(
        await ask(pod, request).catch((error: unknown) => {
          if (isUnserved(error)) return undefined
          if (known) return undefined // it may still be good; the next look asks again
          throw error
        }),
      )
      if (!given) return known?.token
      const lifeMs = Math.max(0, given.expiresAtMs - nowMs)
      const held = { token: given.token, renewAtMs: nowMs + Math.min(lifeMs * lifeUsed, longestMs) }
      const tokens = pods.get(uid) ?? new Map<string, Held>()
      pods.set(uid, tokens.set(key, held))
      return held.token
    },
    renewAtMs(podUid) {
      const times = [...(pods.get(podUid)?.values() ?? [])].map((held) => held.renewAtMs)
      return times.length > 0 ? Math.min(...times) : undefined
    },
    forget: (podUid) => void pods.delete(podUid),
  }
}

/** A server that knows no TokenRequest at all; a missing account is another matter. */
const isUnserved = (error: unknown): boolean =>
  hasReason(error, 'MethodNotAllowed') ||
  (hasReason(error, 'NotFound') &&
    error instanceof Error &&
    error.message.includes('could not find the requested resource'))

function statusOf(body: unknown): { token: string; expiresAtMs: number } | undefined {
  const { status } = Object(body) as { readonly status?: unknown }
  const { token, expirationTimestamp } = Object(status) as Readonly<Record<string, unknown>>
  if (typeof token !== 'string' || token === '') return undefined
  const expiresAtMs = Date.parse(String(expirationTimestamp))
  return { token, expiresAtMs: Number.isFinite(expiresAtMs) ? expiresAtMs : Infinity }
}
