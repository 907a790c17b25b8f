/** Which requests are written down, and how much of them: audit.k8s.io/v1 Policy, the first rule that fits decides. */
import type { UserInfo } from '../../../api/kind.ts'
import type { RequestInfo } from '../request-info.ts'
import { fieldsOf, isRecord, type Fields } from '../../values.ts'

export const levels = ['None', 'Metadata', 'Request', 'RequestResponse'] as const
export type Level = (typeof levels)[number]
export const stages = ['RequestReceived', 'ResponseStarted', 'ResponseComplete', 'Panic'] as const
export type Stage = (typeof stages)[number]

export interface Verdict {
  readonly level: Level
  readonly omitStages: ReadonlySet<Stage>
  readonly omitManagedFields: boolean
}

export interface AuditPolicy {
  verdict(user: UserInfo, info: RequestInfo, path: string): Verdict
}

const nothing: Verdict = { level: 'None', omitStages: new Set(), omitManagedFields: false }

/** Everything, without bodies: what `--audit-log` alone does. */
export const metadataOnly: AuditPolicy = {
  verdict: () => ({
    level: 'Metadata',
    omitStages: new Set(['RequestReceived']),
    omitManagedFields: true,
  }),
}

/** Reads a Policy. Throws with the place and what was expected. */
export function auditPolicy(document: unknown): AuditPolicy {
  const policy = fieldsOf(document)
  if (policy['kind'] !== 'Policy' || policy['apiVersion'] !== 'audit.k8s.io/v1')
    throw new Error(
      `expected apiVersion audit.k8s.io/v1 and kind Policy, found ${JSON.stringify(policy['apiVersion'])} and ${JSON.stringify(policy['kind'])}`,
    )
  known(policy, '', ['apiVersion', 'kind', 'metadata', 'rules', 'omitStages', 'omitManagedFields'])
  const always = stageList(policy['omitStages'], 'omitStages')
  const { rules: list } = policy
  if (!Array.isArray(list) || list.length === 0)
    throw new Error('rules: expected at least one rule')
  const rules = list.map((rule: unknown, i) =>
    readRule(rule, `rules[${i}]`, always, policy['omitManagedFields'] === true),
  )
  return {
    verdict: (user, info, path) =>
      rules.find(({ fits }) => fits(user, info, path))?.verdict ?? nothing,
  }
}

interface Rule {
  readonly verdict: Verdict
  readonly fits: (user: UserInfo, info: RequestInfo, path: string) => boolean
}

interface ResourceRule {
  readonly group: string
  readonly resources: readonly string[]
  readonly names: readonly string[]
}

function readRule(value: unknown, at: string, always: readonly Stage[], omitFields: boolean): Rule {
  if (!isRecord(value)) throw new Error(`${at}: expected a map`)
  known(value, `${at}.`, [
    'level',
    'users',
    'userGroups',
    'verbs',
    'resources',
    'namespaces',
    'nonResourceURLs',
    'omitStages',
    'omitManagedFields',
  ])
  const level = levels.find((each) => each === value['level'])
  if (level === undefined)
    throw new Error(
      `${at}.level: expected ${levels.join(', ')}, found ${JSON.stringify(value['level'])}`,
    )
  const texts = (name: string) => textList(value[name], `${at}.${name}`)
  const users = texts('users')
  const groups = texts('userGroups')
  const verbs = texts('verbs')
  const namespaces = texts('namespaces')
  const urls = texts('nonResourceURLs')
  const resources = resourceRules(value['resources'], at)
  if (urls.length > 0 && (resources.length > 0 || namespaces.length > 0))
    throw new Error(`${at}: expected resources and namespaces, or nonResourceURLs, found both`)
  const verdict: Verdict = {
    level,
    omitStages: new Set([...always, ...stageList(value['omitStages'], `${at}.omitStages`)]),
    omitManagedFields:
      typeof value['omitManagedFields'] === 'boolean' ? value['omitManagedFields'] : omitFields,
  }
  const fits: Rule['fits'] = (user, info, path) => {
    if (users.length > 0 && !users.includes(user.username)) return false
    if (groups.length > 0 && !user.groups.some((each) => groups.includes(each))) return false
    if (verbs.length > 0 && !verbs.includes(info.verb)) return false
    if (info.path === undefined) {
      if (resources.length > 0 || namespaces.length > 0) return false
      return urls.length === 0 || urls.some((url) => pathFits(url, path))
    }
    if (urls.length > 0) return false
    const { group, resource, subresource, name, namespace } = info.path
    if (namespaces.length > 0 && !namespaces.includes(namespace)) return false
    if (resources.length === 0) return true
    return resources.some(
      (rule) =>
        rule.group === group &&
        (rule.resources.length === 0 ||
          rule.resources.some((each) => resourceFits(each, resource, subresource))) &&
        (rule.names.length === 0 || rule.names.includes(name)),
    )
  }
  return { verdict, fits }
}

/** `pods` is the resource alone, `pods/*` its subresources, `*` everything; before a slash it means any resource. */
function resourceFits(rule: string, resource: string, subresource: string): boolean {
  if (rule === '*') return true
  const [wanted = '', sub = ''] = rule.split('/', 2)
  if (wanted !== '*' && wanted !== resource) return false
  return sub === '*' ? subresource !== '' : sub === subresource
}

const pathFits = (url: string, path: string): boolean =>
  url === '*' || url === path || (url.endsWith('*') && path.startsWith(url.slice(0, -1)))

function resourceRules(value: unknown, at: string): readonly ResourceRule[] {
  if (value === undefined || value === null) return []
  if (!Array.isArray(value)) throw new Error(`${at}.resources: expected a list`)
  return value.map((each: unknown, i) => {
    const place = `${at}.resources[${i}]`
    if (!isRecord(each)) throw new Error(`${place}: expected a map`)
    known(each, `${place}.`, ['group', 'resources', 'resourceNames'])
    const { group = '' } = each
    if (typeof group !== 'string') throw new Error(`${place}.group: expected a text`)
    return {
      group,
      resources: textList(each['resources'], `${place}.resources`),
      names: textList(each['resourceNames'], `${place}.resourceNames`),
    }
  })
}

function textList(value: unknown, at: string): readonly string[] {
  if (value === undefined || value === null) return []
  if (Array.isArray(value) && value.every((each) => typeof each === 'string')) return value
  throw new Error(`${at}: expected a list of texts, found ${JSON.stringify(value)}`)
}

const stageList = (value: unknown, at: string): readonly Stage[] =>
  textList(value, at).map((each) => {
    const stage = stages.find((name) => name === each)
    if (stage) return stage
    throw new Error(`${at}: expected ${stages.join(', ')}, found ${JSON.stringify(each)}`)
  })

function known(fields: Fields, at: string, names: readonly string[]): void {
  const strange = Object.keys(fields).find((name) => !names.includes(name))
  if (strange !== undefined)
    throw new Error(`${at}${strange}: not known; there are ${names.join(', ')}`)
}
