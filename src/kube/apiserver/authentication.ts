/**
 * Who is calling (contracts/kube §7.1): a client certificate, a bearer token, or nobody; and on whose behalf
 * (impersonation, §7.3).
 */
import { createHash } from 'node:crypto'
import type { IncomingHttpHeaders, IncomingMessage } from 'node:http'
import { TLSSocket } from 'node:tls'
import type { UserInfo } from '../api/kind.ts'
import { StatusError, badRequest } from '../api/status-error.ts'

/** What a connection and its headers say about the caller. */
export interface Credentials {
  /** Of a client certificate that the CA signed. */
  readonly certificate?: { readonly commonName: string; readonly organizations: readonly string[] }
  readonly bearerToken?: string
}

/** `undefined` = the credentials are bad (401). Without credentials it answers `anonymous`. */
export type Authenticate = (credentials: Credentials) => UserInfo | undefined

export const anonymous: UserInfo = {
  username: 'system:anonymous',
  groups: ['system:unauthenticated'],
}

/** Client certificates (CN = user, O = groups) and the tokens given. */
export function authenticator(
  options: { readonly tokens?: ReadonlyMap<string, UserInfo> } = {},
): Authenticate {
  // Looked up by digest, so that the time of a lookup says nothing about a token.
  const byDigest = new Map(
    [...(options.tokens ?? [])].map(([token, user]) => [digest(token), authenticated(user)]),
  )
  return ({ certificate, bearerToken }) => {
    if (certificate)
      return authenticated({
        username: certificate.commonName,
        groups: certificate.organizations,
      })
    return bearerToken === undefined ? anonymous : byDigest.get(digest(bearerToken))
  }
}

const digest = (token: string): string => createHash('sha256').update(token).digest('base64')

const authenticated = (user: UserInfo): UserInfo =>
  user.groups.includes('system:authenticated')
    ? user
    : { ...user, groups: [...user.groups, 'system:authenticated'] }

const known = new WeakMap<TLSSocket, Credentials['certificate']>()

/** Reads the credentials of a request. Throws Unauthorized for a certificate that the CA did not sign. */
export function credentialsOf({ socket, headers }: IncomingMessage): Credentials {
  const bearer = /^bearer +(\S+)$/i.exec(headers.authorization ?? '')?.[1]
  if (headers.authorization !== undefined && bearer === undefined) throw unauthorized()
  const certificate = socket instanceof TLSSocket ? certificateOf(socket) : undefined
  return {
    ...(certificate && { certificate }),
    ...(bearer !== undefined && { bearerToken: bearer }),
  }
}

function certificateOf(socket: TLSSocket): Credentials['certificate'] {
  if (known.has(socket)) return known.get(socket)
  const { subject } = socket.getPeerCertificate()
  // No certificate: an empty object without a subject.
  if (subject === undefined) {
    known.set(socket, undefined)
    return undefined
  }
  if (!socket.authorized) throw unauthorized()
  const certificate = {
    commonName: one(subject.CN),
    organizations: subject.O === undefined ? [] : [subject.O].flat(),
  }
  known.set(socket, certificate)
  return certificate
}

const one = (value: string | string[] | undefined): string => [value].flat()[0] ?? ''

export const unauthorized = (): StatusError => new StatusError('Unauthorized', 'Unauthorized')

/** The user on whose behalf an administrator asks; the caller's own when no `Impersonate-` header is there. */
export function impersonated(user: UserInfo, headers: IncomingHttpHeaders): UserInfo {
  const name = headers['impersonate-user']
  const groups = [headers['impersonate-group'] ?? []].flat().flatMap((each) => each.split(', '))
  const uid = headers['impersonate-uid']
  if (name === undefined && groups.length === 0 && uid === undefined) return user
  if (typeof name !== 'string' || name === '')
    throw new StatusError(
      'InternalError',
      `requested ${JSON.stringify(groups)} without impersonating a user`,
    )
  if (name.length > 256 || groups.length > 64) throw badRequest('too long an impersonation')
  if (!user.groups.includes('system:masters'))
    throw new StatusError(
      'Forbidden',
      `users ${JSON.stringify(name)} is forbidden: User ${JSON.stringify(user.username)} cannot impersonate resource "users" in API group "" at the cluster scope`,
      { name, kind: 'users' },
    )
  const account = /^system:serviceaccount:([^:]+):[^:]+$/.exec(name)
  const own = account ? ['system:serviceaccounts', `system:serviceaccounts:${account[1]}`] : []
  return authenticated({
    username: name,
    groups: [...groups, ...own],
    ...(typeof uid === 'string' && { uid }),
  })
}
