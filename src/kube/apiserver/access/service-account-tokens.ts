/**
 * Tokens of ServiceAccounts: what they say, and whom they stand for as long as the account and
 * what they are bound to live. Old ones without an end belong to a Secret and die with it.
 */
import { createHash, randomUUID } from 'node:crypto'
import type { Clock } from '../../../lib/clock.ts'
import type { UserInfo } from '../../api/kind.ts'
import type { KubeObject } from '../../api/meta.ts'
import type { Store } from '../../store/store.ts'
import { storeKey } from '../registry.ts'
import { fieldsOf, open, type Fields } from '../values.ts'
import { isSignedBy, readJwt, signJwt, type Jwt } from './jwt.ts'
import type { TokenKeys } from './token-keys.ts'

export const defaultIssuer = 'https://kubernetes.default.svc'
const legacyIssuer = 'kubernetes/serviceaccount'

/** A deleted pod may say goodbye with its token for so long after its grace. */
const afterDeletionMs = 60_000
/** Tokens whose signature was checked already. */
const knownCapacity = 1024

export interface TokenOptions {
  readonly store: Store
  readonly keys: TokenKeys
  readonly clock: Clock
  /** Default `https://kubernetes.default.svc`. */
  readonly issuer?: string
  /** Whom tokens must be for to be taken here. Default: the issuer. */
  readonly audiences?: readonly string[]
}

/** What a token is bound to. */
export interface Bound {
  readonly pod?: KubeObject
  readonly secret?: KubeObject
  readonly node?: KubeObject
}

export interface TokenWish {
  readonly account: KubeObject
  readonly bound: Bound
  /** Empty = this server's own. */
  readonly audiences: readonly string[]
  readonly lifeSeconds: number
  /** Seconds after which its use would be warned of, for tokens that live longer than they say. */
  readonly warnAfterSeconds?: number
}

/** Whose a token is, and for which of the audiences asked for. */
export interface TokenHolder {
  readonly user: UserInfo
  readonly audiences: readonly string[]
}

const accounts = { group: '', plural: 'serviceaccounts' }
const pods = { group: '', plural: 'pods' }
const secrets = { group: '', plural: 'secrets' }
const nodes = { group: '', plural: 'nodes' }

export class ServiceAccountTokens {
  readonly issuer: string
  readonly audiences: readonly string[]
  readonly keys: TokenKeys
  readonly #store: Store
  readonly #clock: Clock
  readonly #known = new Map<string, Jwt>()

  constructor({ store, keys, clock, issuer = defaultIssuer, audiences }: TokenOptions) {
    this.#store = store
    this.#clock = clock
    this.keys = keys
    this.issuer = issuer
    this.audiences = audiences && audiences.length > 0 ? audiences : [issuer]
  }

  /** A new token. */
  issue({ account, bound, audiences, lifeSeconds, warnAfterSeconds }: TokenWish): string {
    const now = Math.floor(this.#clock.now() / 1000)
    const { name, namespace = '' } = account.metadata
    const { pod, secret } = bound
    const node = bound.node ?? (pod && this.#nodeOf(pod))
    return signJwt(this.keys.signing, this.keys.signingId, {
      aud: audiences.length > 0 ? audiences : this.audiences,
      exp: now + lifeSeconds,
      iat: now,
      iss: this.issuer,
      jti: randomUUID(),
      'kubernetes.io': {
        namespace,
        ...(node && { node: reference(node) }),
        ...(pod && { pod: reference(pod) }),
        ...(secret && { secret: reference(secret) }),
        serviceaccount: reference(account),
        ...(warnAfterSeconds !== undefined && { warnafter: now + warnAfterSeconds }),
      },
      nbf: now,
      sub: `system:serviceaccount:${namespace}:${name}`,
    })
  }

  /** The token without an end that a Secret of type `kubernetes.io/service-account-token` holds. */
  issueForSecret(account: KubeObject, secret: { readonly name: string }): string {
    const { name, namespace = '', uid = '' } = account.metadata
    return signJwt(this.keys.signing, this.keys.signingId, {
      iss: legacyIssuer,
      'kubernetes.io/serviceaccount/namespace': namespace,
      'kubernetes.io/serviceaccount/secret.name': secret.name,
      'kubernetes.io/serviceaccount/service-account.name': name,
      'kubernetes.io/serviceaccount/service-account.uid': uid,
      sub: `system:serviceaccount:${namespace}:${name}`,
    })
  }

  /** True when the token says that it comes from here; nothing is checked. */
  isOurs(token: Jwt): boolean {
    const { iss } = token.claims
    return iss === this.issuer || iss === legacyIssuer
  }

  /** Undefined for every token that is not to be believed. `audiences`: one of them must be meant. */
  holder(token: string, audiences = this.audiences): TokenHolder | undefined {
    const jwt = this.#signed(token)
    if (!jwt) return undefined
    return jwt.claims['iss'] === legacyIssuer
      ? this.#legacyHolder(jwt.claims, token, audiences)
      : this.#boundHolder(jwt.claims, audiences)
  }

  /** The token when its signature is ours. What it costs to find out is paid once a token. */
  #signed(token: string): Jwt | undefined {
    const digest = createHash('sha256').update(token).digest('base64')
    const known = this.#known.get(digest)
    if (known) return known
    const jwt = readJwt(token)
    if (!jwt || !this.isOurs(jwt) || !isSignedBy(jwt, this.keys.verification)) return undefined
    if (this.#known.size >= knownCapacity) {
      const [oldest] = this.#known.keys()
      if (oldest !== undefined) this.#known.delete(oldest)
    }
    this.#known.set(digest, jwt)
    return jwt
  }

  #boundHolder(claims: Fields, wanted: readonly string[]): TokenHolder | undefined {
    const now = this.#clock.now() / 1000
    const { exp, nbf, aud, jti } = claims
    if (typeof exp !== 'number' || exp <= now) return undefined
    if (typeof nbf === 'number' && nbf > now) return undefined
    const meant = wanted.filter((each) => (Array.isArray(aud) ? aud.includes(each) : aud === each))
    if (meant.length === 0) return undefined
    const own = fieldsOf(claims['kubernetes.io'])
    const namespace = text(own['namespace'])
    const account = fieldsOf(own['serviceaccount'])
    const name = text(account['name'])
    if (claims['sub'] !== `system:serviceaccount:${namespace}:${name}`) return undefined
    if (!this.#lives(accounts, namespace, account)) return undefined
    const extra: Record<string, readonly string[]> = {}
    const add = (key: string, value: unknown) => {
      if (typeof value === 'string' && value !== '')
        extra[`authentication.kubernetes.io/${key}`] = [value]
    }
    if (typeof jti === 'string') add('credential-id', `JTI=${jti}`)
    if (own['pod'] !== undefined) {
      const pod = fieldsOf(own['pod'])
      if (!this.#lives(pods, namespace, pod)) return undefined
      add('pod-name', pod['name'])
      add('pod-uid', pod['uid'])
    }
    if (own['secret'] !== undefined && !this.#lives(secrets, namespace, fieldsOf(own['secret'])))
      return undefined
    if (own['node'] !== undefined) {
      const node = fieldsOf(own['node'])
      // The node of a pod is told along; only what is bound to nothing else lives and dies with it.
      if (own['pod'] === undefined && !this.#lives(nodes, '', node)) return undefined
      add('node-name', node['name'])
      add('node-uid', node['uid'])
    }
    return {
      user: { ...accountUser(namespace, name), uid: text(account['uid']), extra },
      audiences: meant,
    }
  }

  #legacyHolder(claims: Fields, token: string, wanted: readonly string[]): TokenHolder | undefined {
    const of = (key: string) => text(claims[`kubernetes.io/serviceaccount/${key}`])
    const namespace = of('namespace')
    const name = of('service-account.name')
    const uid = of('service-account.uid')
    // They name nobody whom they are for: they are for this server alone.
    const meant = wanted.filter((each) => this.audiences.includes(each))
    if (meant.length === 0) return undefined
    if (claims['sub'] !== `system:serviceaccount:${namespace}:${name}`) return undefined
    if (!this.#lives(accounts, namespace, { name, uid })) return undefined
    const secret = this.#get(secrets, namespace, of('secret.name'))
    if (!secret || secret.metadata.deletionTimestamp !== undefined) return undefined
    const held = fieldsOf(open(secret)['data'])['token']
    if (typeof held !== 'string' || Buffer.from(held, 'base64').toString() !== token)
      return undefined
    return { user: { ...accountUser(namespace, name), uid }, audiences: meant }
  }

  #lives(
    kind: { readonly group: string; readonly plural: string },
    namespace: string,
    { name, uid }: Fields,
  ): boolean {
    const found = this.#get(kind, namespace, text(name))
    if (!found || found.metadata.uid !== uid) return false
    const { deletionTimestamp } = found.metadata
    return (
      deletionTimestamp === undefined ||
      Date.parse(deletionTimestamp) + afterDeletionMs > this.#clock.now()
    )
  }

  #get(
    kind: { readonly group: string; readonly plural: string },
    namespace: string,
    name: string,
  ): KubeObject | undefined {
    // A slash inside a name would lead to another object.
    if (name === '' || name.includes('/') || namespace.includes('/')) return undefined
    return this.#store.get(storeKey(kind, { namespace, name }))
  }

  #nodeOf(pod: KubeObject): KubeObject | undefined {
    const name = text(fieldsOf(open(pod)['spec'])['nodeName'])
    if (name === '') return undefined
    return (
      this.#get(nodes, '', name) ?? { apiVersion: 'v1', kind: 'Node', metadata: { name, uid: '' } }
    )
  }
}

const text = (value: unknown): string => (typeof value === 'string' ? value : '')

const reference = ({ metadata: { name, uid } }: KubeObject): Fields => ({
  name,
  ...(uid && { uid }),
})

/** Name and groups of an account, as everybody knows it. */
export const accountUser = (namespace: string, name: string): UserInfo => ({
  username: `system:serviceaccount:${namespace}:${name}`,
  groups: ['system:serviceaccounts', `system:serviceaccounts:${namespace}`, 'system:authenticated'],
})
