/** Who calls and what he may do, as one value that the API server and its HTTPS front share (contracts/kube §7). */
import type { Clock } from '../../../lib/clock.ts'
import type { Log } from '../../../lib/log.ts'
import type { Random } from '../../../lib/random.ts'
import type { UserInfo } from '../../api/kind.ts'
import type { Store } from '../../store/store.ts'
import type { AdmissionPlugin } from '../machinery.ts'
import { authenticator, type Authenticate } from './authentication.ts'
import { authorizer as authorizerOf, type Authorizer } from './authorization.ts'
import { aggregate } from './rbac/aggregation.ts'
import { bootstrapPolicy } from './rbac/bootstrap.ts'
import type { PolicyObject } from './rbac/default-policy.ts'
import { escalationChecks } from './rbac/escalation.ts'
import { RoleIndex } from './rbac/role-index.ts'
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
  /** Roles that are there from the start besides Kubernetes' own. */
  readonly policy?: readonly PolicyObject[]
}

export interface Access extends Disposable {
  readonly tokens: ServiceAccountTokens
  readonly authenticate: Authenticate
  readonly authorizer: Authorizer
  /** Checks of what is written to roles and bindings. */
  readonly admission: readonly AdmissionPlugin[]
  /** Whose a token is and for which of `audiences` (none = this server); undefined when it is not to be believed. */
  holder(token: string, audiences: readonly string[]): Promise<TokenHolder | undefined>
}

export interface AccessDeps {
  readonly store: Store
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
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
    ...(staticTokens && { tokens: staticTokens }),
  })
  return {
    tokens,
    authenticate,
    authorizer,
    admission: escalationChecks(authorizer, roles),
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
