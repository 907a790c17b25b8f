/**
 * VirtualService of Istio (networking.istio.io/v1, v1beta1, v1alpha3): so much of it that rules by host, path and header
 * work unchanged. Fields without an effect here are kept and warned of.
 */
import { ageColumn } from '../../kube/api/columns.ts'
import type { AdmissionContext, KindDefinition, ServedVersion } from '../../kube/api/kind.ts'
import { object } from '../../kube/api/schema.ts'
import { refuseInvalid, required, wrong, type Complaints } from '../../kube/api/validation.ts'
import { parseDuration } from '../../knative/duration.ts'
import { Pattern, PatternError } from '../../lib/pattern.ts'
import {
  isSaid,
  istioGroup,
  unseenInMatches,
  virtualServiceName,
  VirtualServiceSpec,
  VirtualServiceStatus,
  type HTTPMatchRequest,
  type IstioHTTPRoute,
  type IstioStringMatch,
  type VirtualService as Service,
} from './virtual-service-spec.ts'

/** What a rule may say that has no effect. */
const withoutEffect = ['delegate', 'retries', 'fault', 'corsPolicy'] as const
function* problems({ spec }: Service): Complaints {
  if (!spec?.hosts?.length)
    yield required('spec.hosts', 'virtual service must have at least one host')
  for (const [i, host] of (spec?.hosts ?? []).entries())
    if (
      !/^(\*|(\*\.)?[a-zA-Z0-9_]([-a-zA-Z0-9_]*[a-zA-Z0-9_])?(\.[a-zA-Z0-9_]([-a-zA-Z0-9_]*[a-zA-Z0-9_])?)*)$/.test(
        host,
      )
    )
      yield wrong(
        `spec.hosts[${i}]`,
        host,
        'must be a host name, one that begins with "*.", or "*"; addresses are not supported',
      )
  for (const [i, rule] of (spec?.http ?? []).entries()) yield* ruleProblems(rule, `spec.http[${i}]`)
}

function* ruleProblems(rule: IstioHTTPRoute, at: string): Complaints {
  const { route = [], redirect, directResponse, rewrite, timeout } = rule
  if (route.length === 0 && !redirect && !directResponse && !rule.delegate)
    yield required(at, 'HTTP route, redirect or direct_response is required')
  if (redirect && route.length > 0)
    yield wrong(at, 'redirect', 'HTTP route cannot contain both route and redirect')
  if (redirect && rewrite)
    yield wrong(
      `${at}.rewrite`,
      'redirect',
      'HTTP route rule cannot contain both rewrite and redirect',
    )
  for (const [j, { destination, weight = 0 }] of route.entries()) {
    if (!destination.host) yield required(`${at}.route[${j}].destination.host`)
    if (weight < 0) yield wrong(`${at}.route[${j}].weight`, weight, 'must be 0 or more')
  }
  if (timeout !== undefined && (parseDuration(timeout) ?? -1) < 0)
    yield wrong(`${at}.timeout`, timeout, 'must be a duration, for example 10s or 500ms')
  for (const [j, match] of (rule.match ?? []).entries())
    yield* matchProblems(match, `${at}.match[${j}]`)
}

function* matchProblems(match: HTTPMatchRequest, at: string): Complaints {
  for (const field of ['uri', 'method', 'authority'] as const) {
    const one = match[field]
    if (one) yield* stringProblems(one, `${at}.${field}`)
  }
  for (const field of ['headers', 'queryParams'] as const)
    for (const [name, one] of Object.entries(match[field] ?? {}))
      yield* stringProblems(one, `${at}.${field}[${name}]`)
}

function* stringProblems({ exact, prefix, regex }: IstioStringMatch, at: string): Complaints {
  const said = [exact, prefix, regex].filter((value) => value !== undefined)
  if (said.length > 1) yield wrong(at, said[0], 'must have only one of exact, prefix and regex')
  if (regex === undefined) return
  try {
    new Pattern(regex)
  } catch (error) {
    if (!(error instanceof PatternError)) throw error
    yield wrong(`${at}.regex`, regex, `is not a regular expression (RE2): ${error.message}`)
  }
}

/** Names each field that is kept and does nothing. */
function warnings({ spec }: Service, warn: (text: string) => void): void {
  const idle = (field: string) => warn(`${field} is stored and has no effect`)
  for (const field of ['tls', 'tcp', 'exportTo'] as const)
    if (spec[field]?.length) idle(`spec.${field}`)
  for (const [i, rule] of (spec.http ?? []).entries()) {
    const at = `spec.http[${i}]`
    for (const field of withoutEffect) if (isSaid(rule[field])) idle(`${at}.${field}`)
    if (isSaid(rule.rewrite?.uriRegexRewrite)) idle(`${at}.rewrite.uriRegexRewrite`)
    if (isSaid((rule.directResponse as { body?: unknown } | undefined)?.body))
      idle(`${at}.directResponse.body`)
    for (const [j, { destination }] of (rule.route ?? []).entries())
      if (destination.subset) idle(`${at}.route[${j}].destination.subset`)
    for (const [j, match] of (rule.match ?? []).entries())
      for (const field of unseenInMatches)
        if (isSaid(match[field]))
          warn(`${at}.match[${j}].${field} is not supported: this match takes no request`)
  }
}

const schema = object({ spec: VirtualServiceSpec, status: VirtualServiceStatus })

/** A version of the same shape. */
const sameIn = (version: string): ServedVersion => ({
  version,
  schema,
  toStorage: (stored) => ({ ...stored, apiVersion: `${istioGroup}/v1` }),
  fromStorage: (stored) => ({ ...stored, apiVersion: `${istioGroup}/${version}` }),
})

export type VirtualService = Service

export const VirtualService: KindDefinition<Service> = {
  ...virtualServiceName,
  singular: 'virtualservice',
  shortNames: ['vs'],
  categories: ['istio-io', 'networking-istio-io'],
  flavour: 'custom',
  hasStatus: true,
  hasGeneration: true,
  description: 'Which requests of some hosts go where, by path, header, method and query.',
  admit(service: Service, context: AdmissionContext<Service>) {
    if (context.subresource !== '') return service
    refuseInvalid(VirtualService, service, problems(service))
    warnings(service, (text) => context.warn(text))
    return service
  },
  schema,
  versions: [sameIn('v1beta1'), sameIn('v1alpha3')],
  columns: [
    {
      name: 'Gateways',
      type: 'string',
      description: 'Entrances that it is for.',
      value: ({ spec }) => (spec.gateways ? JSON.stringify(spec.gateways) : undefined),
    },
    {
      name: 'Hosts',
      type: 'string',
      description: 'Hosts that it is for.',
      value: ({ spec }) => JSON.stringify(spec.hosts ?? []),
    },
    ageColumn,
  ],
}
