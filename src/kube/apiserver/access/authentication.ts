/**
 * Who is calling: a client certificate, a bearer token, or nobody. A credential that is not
 * believed is refused; it never counts as nobody's.
 */
import { createHash } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import { TLSSocket } from 'node:tls'
import type { UserInfo } from '../../api/kind.ts'
import { StatusError } from '../../api/status-error.ts'
import { readJwt, type Jwt } from './jwt.ts'
import type { ServiceAccountTokens } from './service-account-tokens.ts'

/** What a connection and its headers say about the caller. */
export interface Credentials {
  /** Of a client certificate that the CA signed. */
  readonly certificate?: {
    readonly commonName: string
    readonly organizations: readonly string[]
    /** SHA-256 of the certificate, in lower-case hex. */
    readonly fingerprint?: string
  }
  readonly bearerToken?: string
}

/** `undefined` = the credentials are bad (401). Without credentials it answers `anonymous`. */
export type Authenticate = (
  credentials: Credentials,
) => Promise<UserInfo | undefined> | UserInfo | undefined

/** Tokens of somebody else's making: an identity provider's. */
export interface TokenAuthenticator {
  /** True when the token says that it is from there; nothing is checked. */
  isOurs(token: Jwt): boolean
  user(token: string): Promise<UserInfo | undefined>
}

export const anonymous: UserInfo = {
  username: 'system:anonymous',
  groups: ['system:unauthenticated'],
}

export interface AuthenticatorOptions {
  /** Tokens that are passwords. */
  readonly tokens?: ReadonlyMap<string, UserInfo>
  readonly accounts?: ServiceAccountTokens
  readonly provider?: TokenAuthenticator
}

/** Client certificates (CN = user, O = groups), the tokens given, and those of accounts and the identity provider. */
export function authenticator({
  tokens,
  accounts,
  provider,
}: AuthenticatorOptions = {}): Authenticate {
  // Looked up by digest, so that the time of a lookup says nothing about a token.
  const byDigest = new Map(
    [...(tokens ?? [])].map(([token, user]) => [digest(token), authenticated(user)]),
  )

  function ofToken(token: string): Promise<UserInfo | undefined> | UserInfo | undefined {
    const known = byDigest.get(digest(token))
    if (known) return known
    const holder = accounts?.holder(token)
    if (holder) return holder.user
    if (!provider) return undefined
    const jwt = readJwt(token)
    if (!jwt || !provider.isOurs(jwt)) return undefined
    return provider.user(token).then((user) => user && authenticated(user))
  }

  return ({ certificate, bearerToken }) => {
    if (certificate) return ofCertificate(certificate)
    return bearerToken === undefined ? anonymous : ofToken(bearerToken)
  }
}

const ofCertificate = ({
  commonName,
  organizations,
  fingerprint,
}: NonNullable<Credentials['certificate']>): UserInfo | undefined =>
  commonName === ''
    ? undefined
    : authenticated({
        username: commonName,
        groups: organizations,
        ...(fingerprint && {
          extra: { 'authentication.kubernetes.io/credential-id': [`X509SHA256=${fingerprint}`] },
        }),
      })

const digest = (token: string): string => createHash('sha256').update(token).digest('base64')

/** The user, in the group of all who are somebody. */
export const authenticated = (user: UserInfo): UserInfo =>
  user.groups.includes('system:authenticated')
    ? user
    : { ...user, groups: [...user.groups, 'system:authenticated'] }

const known = new WeakMap<TLSSocket, Credentials['certificate']>()

/** Reads the credentials of a request. Throws Unauthorized for a certificate that the CA did not sign. */
export function credentialsOf({ socket, headers }: IncomingMessage): Credentials {
  const bearer = bearerOf(headers.authorization ?? '') ?? browserToken(headers)
  if (headers.authorization !== undefined && bearer === undefined) throw unauthorized()
  const certificate = socket instanceof TLSSocket ? certificateOf(socket) : undefined
  return {
    ...(certificate && { certificate }),
    ...(bearer !== undefined && { bearerToken: bearer }),
  }
}

const bearerOf = (header: string): string | undefined => {
  const [scheme = '', token = '', more] = header.trim().split(/ +/, 3)
  return scheme.toLowerCase() === 'bearer' && token !== '' && more === undefined ? token : undefined
}

const browserProtocol = 'base64url.bearer.authorization.k8s.io.'

/** Browsers can put no header on a WebSocket: the token comes as one of its protocols. */
function browserToken(headers: IncomingMessage['headers']): string | undefined {
  const offered = headers['sec-websocket-protocol']?.split(',').map((each) => each.trim())
  const found = offered?.find((each) => each.startsWith(browserProtocol))
  return found && Buffer.from(found.slice(browserProtocol.length), 'base64url').toString('utf8')
}

function certificateOf(socket: TLSSocket): Credentials['certificate'] {
  if (known.has(socket)) return known.get(socket)
  const { subject, fingerprint256 } = socket.getPeerCertificate()
  // No certificate: an empty object without a subject.
  if (subject === undefined) {
    known.set(socket, undefined)
    return undefined
  }
  if (!socket.authorized) throw unauthorized()
  const certificate = {
    commonName: one(subject.CN),
    organizations: subject.O === undefined ? [] : [subject.O].flat(),
    fingerprint: fingerprint256.replaceAll(':', '').toLowerCase(),
  }
  known.set(socket, certificate)
  return certificate
}

const one = (value: string | string[] | undefined): string => [value].flat()[0] ?? ''

export const unauthorized = (): StatusError => new StatusError('Unauthorized', 'Unauthorized')
