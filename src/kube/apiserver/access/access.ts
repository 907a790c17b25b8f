/** Who calls and what he may do, as one value that the API server and its HTTPS front share. */
import type { Clock } from '../../../lib/clock.ts'
import type { Log } from '../../../lib/log.ts'
import type { Random } from '../../../lib/random.ts'
import type { UserInfo } from '../../api/kind.ts'
import type { Store } from '../../store/store.ts'
import type { AdmissionPlugin } from '../machinery.ts'
import { storePrefix } from '../registry.ts'
import { authenticator, type Authenticate } from './authentication.ts'
import { authorizer as authorizerOf, type Authorizer } from './authorization.ts'
import { aggregate } from './rbac/aggregation.ts'
import { bootstrapPolicy } from './rbac/bootstrap.ts'
import type { PolicyObject } from './rbac/default-policy.ts'
import { escalationChecks } from './rbac/escalation.ts'
import { RoleIndex } from './rbac/role-index.ts'
import { oidcAuthenticator, type OidcOptions } from './oidc.ts'
import { Priority } from './priority.ts'
import { RequestMetrics } from './request-metrics.ts'
import { signerChecks } from './signing.ts'
import { tokenSecrets } from './token-secrets.ts'
import { ServiceAccountTokens, type TokenHolder } from './service-account-tokens.ts'
import { tokenKeys } from './token-keys.ts'

export interface AccessOptions {
  /** PEM texts of the keys of ServiceAccount tokens: the first signs. Default: one that dies with the process. */
  readonly tokenKeys?: readonly string[]
  /** Who issues ServiceAccount tokens, as they say. Default `https://kubernetes.default.svc`. */
  readonly issuer?: string
  /** Whom tokens must be for. Default: the issuer. */
  readonly audiences?: readonly string[]
  /** Tokens that are passwords. */
  readonly staticTokens?: ReadonlyMap<string, UserInfo>
  /** An identity provider whose tokens are believed. */
  readonly oidc?: OidcOptions
  /** Requests answered at a time; the others wait in fair lines. */
  readonly readSeats?: number
  readonly writeSeats?: number
  /** Roles that are there from the start besides Kubernetes' own. */
  readonly policy?: readonly PolicyObject[]
}

export interface Access extends Disposable {
  readonly tokens: ServiceAccountTokens
  readonly authenticate: Authenticate
  /** Lines and counts of all connections, at whichever address they come in. */
  readonly priority: Priority
  readonly metrics: RequestMetrics
  readonly authorizer: Authorizer
  /** Checks and additions to what is written. */
  readonly admission: readonly AdmissionPlugin[]
  /** Whose a token is and for which of `audiences` (none = this server); undefined when it is not to be believed. */
  holder(token: string, audiences: readonly string[]): Promise<TokenHolder | undefined>
}

export interface AccessDeps {
  readonly store: Store
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
  /** PEM of the certificate authority. */
  readonly rootCA: string
  /** False: no roles are served, and none are put into the store. */
  readonly servesRoles: boolean
}

export function createAccess(options: AccessOptions & AccessDeps): Access {
  const { store, clock, log, issuer, audiences, staticTokens, policy = [] } = options
  if (options.servesRoles) bootstrapPolicy(options, policy)
  const roles = new RoleIndex(store)
  const aggregation = aggregate(store, roles, log)
  const tokens = new ServiceAccountTokens({
    store,
    clock,
    keys: tokenKeys(options.tokenKeys),
    ...(issuer !== undefined && { issuer }),
    ...(audiences && { audiences }),
  })
  const authorizer = authorizerOf(roles)
  const authenticate = authenticator({
    accounts: tokens,
    ...(options.oidc && { provider: oidcAuthenticator(options.oidc, { clock, log }) }),
    ...(staticTokens && { tokens: staticTokens }),
  })
  return {
    tokens,
    authenticate,
    authorizer,
    priority: new Priority({
      clock,
      countOf({ path }) {
        if (!path) return 0
        const { group, resource, namespace } = path
        const prefix = storePrefix({ group, plural: resource }, namespace || undefined)
        return store.count(prefix)
      },
      ...(options.readSeats !== undefined && { readSeats: options.readSeats }),
      ...(options.writeSeats !== undefined && { writeSeats: options.writeSeats }),
    }),
    metrics: new RequestMetrics(),
    admission: [
      ...escalationChecks(authorizer, roles),
      tokenSecrets(tokens, options.rootCA),
      signerChecks(authorizer),
    ],
    async holder(token, asked) {
      const wanted = asked.length > 0 ? asked : tokens.audiences
      const found = tokens.holder(token, wanted)
      if (found) return found
      // All other credentials are for this server alone.
      const meant = wanted.filter((each) => tokens.audiences.includes(each))
      if (meant.length === 0) return undefined
      const user = await authenticate({ bearerToken: token })
      return user && { user, audiences: meant }
    },
    [Symbol.dispose]: () => {
      aggregation[Symbol.dispose]()
      roles[Symbol.dispose]()
    },
  }
}
