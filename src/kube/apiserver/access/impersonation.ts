/**
 * On whose behalf a caller asks (`Impersonate-User` and its like): every part of the other identity
 * has to be allowed him by the verb `impersonate`.
 */
import type { IncomingHttpHeaders, IncomingMessage } from 'node:http'
import type { UserInfo } from '../../api/kind.ts'
import { StatusError, badRequest } from '../../api/status-error.ts'
import { authenticated } from './authentication.ts'
import type { Authorize } from './authorization.ts'
import { accountUser } from './service-account-tokens.ts'

const maxNameLength = 256
const maxGroups = 64
const maxExtras = 32

const extraPrefix = 'impersonate-extra-'

/** The user on whose behalf the caller asks; the caller himself when no `Impersonate-` header is there. */
export function impersonated(
  user: UserInfo,
  { headers, rawHeaders }: Pick<IncomingMessage, 'headers' | 'rawHeaders'>,
  authorize: Authorize,
): UserInfo {
  if (!mentions(headers)) return user
  const name = one(headers['impersonate-user'])
  // Node joins repeated headers by a comma, which a group's name may contain: read as they were sent.
  const groups = sent(rawHeaders, (header) => header === 'impersonate-group').map(([, it]) => it)
  const uid = one(headers['impersonate-uid'])
  const extras = sent(rawHeaders, (header) => header.startsWith(extraPrefix))
  if (name === '')
    throw new StatusError(
      'InternalError',
      `Internal error occurred: requested ${JSON.stringify([...groups, ...extras.map(([key]) => key)])} without impersonating a user`,
    )
  if (name.length > maxNameLength || groups.length > maxGroups || extras.length > maxExtras)
    throw badRequest(
      `an impersonation has a name of at most ${maxNameLength} characters, ${maxGroups} groups and ${maxExtras} extra values`,
    )
  const account = /^system:serviceaccount:([^:]+):([^:]+)$/.exec(name)
  const [, namespace = '', accountName = ''] = account ?? []
  const may = (resource: string, what: string, group = '', within = '', subresource = ''): void => {
    const refusal = authorize(user, {
      verb: 'impersonate',
      group,
      resource,
      subresource,
      namespace: within,
      name: what,
    })
    if (refusal) throw refusal
  }
  if (account) may('serviceaccounts', accountName, '', namespace)
  else may('users', name)
  for (const group of groups) may('groups', group)
  const identities = 'authentication.k8s.io'
  if (uid !== '') may('uids', uid, identities)
  const extra: Record<string, string[]> = {}
  for (const [header, value] of extras) {
    const key = decoded(header.slice(extraPrefix.length))
    may('userextras', value, identities, '', key)
    ;(extra[key] ??= []).push(value)
  }
  const own = account ? accountUser(namespace, accountName).groups : []
  const asked: UserInfo = {
    username: name,
    // An account is in its own groups, unless the caller says in which.
    groups: groups.length > 0 ? groups : own,
    ...(uid !== '' && { uid }),
    ...(extras.length > 0 && { extra }),
  }
  // Somebody who asks as nobody is nobody.
  if (name !== 'system:anonymous') return authenticated(asked)
  return groups.includes('system:unauthenticated')
    ? asked
    : { ...asked, groups: [...groups, 'system:unauthenticated'] }
}

const mentions = (headers: IncomingHttpHeaders): boolean => {
  for (const name in headers) if (name.startsWith('impersonate-')) return true
  return false
}

const one = (value: string | string[] | undefined): string => [value].flat()[0] ?? ''

function sent(
  rawHeaders: readonly string[],
  wanted: (header: string) => boolean,
): (readonly [string, string])[] {
  const found: [string, string][] = []
  for (let i = 0; i + 1 < rawHeaders.length; i += 2) {
    const header = rawHeaders[i]?.toLowerCase() ?? ''
    if (wanted(header)) found.push([header, rawHeaders[i + 1] ?? ''])
  }
  return found
}

/** Keys may hold characters that a header's name can't: those come escaped. */
function decoded(key: string): string {
  try {
    return decodeURIComponent(key)
  } catch {
    return key
  }
}
