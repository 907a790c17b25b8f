/** HTTPRoute: which requests of some hosts go where (gateway.networking.k8s.io/v1); what upstream's rules of validation refuse. */
import { ageColumn } from '../../kube/api/columns.ts'
import type { AdmissionContext, KindDefinition } from '../../kube/api/kind.ts'
import { object } from '../../kube/api/schema.ts'
import { refuseInvalid, wrong, type Complaints } from '../../kube/api/validation.ts'
import { parseDuration } from '../../knative/duration.ts'
import { Pattern, PatternError } from '../../lib/pattern.ts'
import { sameInV1beta1 } from './gateway-api.ts'
import {
  httpRouteName,
  HTTPRouteSpec,
  HTTPRouteStatus,
  type HTTPPathModifier,
  type HTTPRoute as Route,
  type HTTPRouteFilter,
  type HTTPRouteMatch,
  type HTTPRouteRule,
} from './http-route-spec.ts'

const maxMatches = 128

function* problems({ spec }: Route): Complaints {
  const rules = spec.rules ?? []
  for (const [i, rule] of rules.entries()) yield* ruleProblems(rule, `spec.rules[${i}]`)
  const matches = rules.reduce((sum, rule) => sum + (rule.matches?.length ?? 0), 0)
  if (matches > maxMatches)
    yield wrong(
      'spec.rules',
      matches,
      'While 16 rules and 64 matches per rule are allowed, the total number of matches across all rules in a route must be less than 128',
    )
}

function* ruleProblems(rule: HTTPRouteRule, at: string): Complaints {
  const { matches = [], filters = [], backendRefs = [], timeouts = {} } = rule
  for (const [i, match] of matches.entries()) yield* matchProblems(match, `${at}.matches[${i}]`)
  yield* filtersProblems(filters, rule, `${at}.filters`)
  if (filters.some(({ type }) => type === 'RequestRedirect') && backendRefs.length > 0)
    yield wrong(
      at,
      'RequestRedirect',
      'RequestRedirect filter must not be used together with backendRefs',
    )
  for (const [
    i,
    { group = '', kind = 'Service', name, port, filters: own = [] },
  ] of backendRefs.entries()) {
    if (group === '' && kind === 'Service' && port === undefined)
      yield wrong(`${at}.backendRefs[${i}]`, name, 'Must have port for Service reference')
    yield* filtersProblems(own, rule, `${at}.backendRefs[${i}].filters`)
    if (own.some(({ type }) => type === 'RequestRedirect'))
      yield wrong(
        `${at}.backendRefs[${i}].filters`,
        'RequestRedirect',
        'a redirect belongs to the filters of the rule',
      )
  }
  const { request, backendRequest } = timeouts
  const whole = parseDuration(request ?? '') ?? 0
  if (whole !== 0 && (parseDuration(backendRequest ?? '') ?? 0) > whole)
    yield wrong(
      `${at}.timeouts`,
      backendRequest,
      'backendRequest timeout cannot be longer than request timeout',
    )
}

function* matchProblems(
  { path, headers = [], queryParams = [] }: HTTPRouteMatch,
  at: string,
): Complaints {
  const { type = 'PathPrefix', value = '/' } = path ?? {}
  if (type === 'RegularExpression') yield* patternProblem(value, `${at}.path.value`)
  else yield* pathProblems(value, `${at}.path`)
  for (const [list, field] of [
    [headers, 'headers'],
    [queryParams, 'queryParams'],
  ] as const)
    for (const [i, one] of list.entries())
      if (one.type === 'RegularExpression')
        yield* patternProblem(one.value, `${at}.${field}[${i}].value`)
}

function* pathProblems(value: string, at: string): Complaints {
  const types = "when type one of ['Exact', 'PathPrefix']"
  if (!value.startsWith('/'))
    yield wrong(at, value, `value must be an absolute path and start with '/' ${types}`)
  for (const part of ['//', '/./', '/../', '%2f', '%2F', '#'])
    if (value.includes(part)) yield wrong(at, value, `must not contain '${part}' ${types}`)
  for (const end of ['/..', '/.'])
    if (value.endsWith(end)) yield wrong(at, value, `must not end with '${end}' ${types}`)
  if (!/^(?:[-A-Za-z0-9/._~!$&'()*+,;=:@]|%[0-9a-fA-F]{2})+$/.test(value))
    yield wrong(
      at,
      value,
      "must only contain valid characters (matching ^(?:[-A-Za-z0-9/._~!$&'()*+,;=:@]|[%][0-9a-fA-F]{2})+$) for types ['Exact', 'PathPrefix']",
    )
}

function* patternProblem(value: string, at: string): Complaints {
  try {
    new Pattern(value)
  } catch (error) {
    if (!(error instanceof PatternError)) throw error
    yield wrong(at, value, `is not a regular expression (RE2): ${error.message}`)
  }
}

/** Which field belongs to which type of filter. */
const fieldOfType = {
  RequestHeaderModifier: 'requestHeaderModifier',
  ResponseHeaderModifier: 'responseHeaderModifier',
  RequestMirror: 'requestMirror',
  RequestRedirect: 'requestRedirect',
  URLRewrite: 'urlRewrite',
  ExtensionRef: 'extensionRef',
} as const

const once = ['RequestHeaderModifier', 'ResponseHeaderModifier', 'RequestRedirect', 'URLRewrite']

function* filtersProblems(
  filters: readonly HTTPRouteFilter[],
  { matches = [] }: HTTPRouteRule,
  at: string,
): Complaints {
  const count = (wanted: string) => filters.filter(({ type }) => type === wanted).length
  if (count('RequestRedirect') > 0 && count('URLRewrite') > 0)
    yield wrong(
      at,
      'RequestRedirect',
      'May specify either httpRouteFilterRequestRedirect or httpRouteFilterRequestRewrite, but not both',
    )
  for (const type of once)
    if (count(type) > 1) yield wrong(at, type, `${type} filter cannot be repeated`)
  for (const [i, filter] of filters.entries()) {
    const here = `${at}[${i}]`
    for (const [type, field] of Object.entries(fieldOfType)) {
      const said = filter[field] !== undefined
      if (said && filter.type !== type)
        yield wrong(
          here,
          filter.type,
          `filter.${field} must be nil if the filter.type is not ${type}`,
        )
      if (!said && filter.type === type)
        yield wrong(here, filter.type, `filter.${field} must be specified for ${type} filter.type`)
    }
    if (filter.type === 'ExtensionRef')
      yield wrong(
        here,
        filter.type,
        'there are no filters of other kinds here; use the other types',
      )
    const path = filter.urlRewrite?.path ?? filter.requestRedirect?.path
    if (path) yield* modifierProblems(path, matches, filter.type, here)
    const { percent, fraction } = filter.requestMirror ?? {}
    if (percent !== undefined && fraction)
      yield wrong(
        here,
        percent,
        'Only one of percent or fraction may be specified in HTTPRequestMirrorFilter',
      )
    if (fraction && fraction.numerator > (fraction.denominator ?? 100))
      yield wrong(here, fraction.numerator, 'numerator must be less than or equal to denominator')
  }
}

function* modifierProblems(
  path: HTTPPathModifier,
  matches: readonly HTTPRouteMatch[],
  filter: string,
  at: string,
): Complaints {
  for (const [type, field] of [
    ['ReplaceFullPath', 'replaceFullPath'],
    ['ReplacePrefixMatch', 'replacePrefixMatch'],
  ] as const) {
    const said = path[field] !== undefined
    if (path.type === type && !said)
      yield wrong(at, path.type, `${field} must be specified when type is set to '${type}'`)
    if (path.type !== type && said)
      yield wrong(at, path.type, `type must be '${type}' when ${field} is set`)
  }
  const [only, ...others] = matches
  const isPrefix = (only?.path?.type ?? 'PathPrefix') === 'PathPrefix' && others.length === 0
  if (path.type === 'ReplacePrefixMatch' && matches.length > 0 && !isPrefix)
    yield wrong(
      at,
      path.type,
      `When using ${filter} filter with path.replacePrefixMatch, exactly one PathPrefix match must be specified`,
    )
}

const schema = object({ spec: HTTPRouteSpec, status: HTTPRouteStatus }, { required: ['spec'] })

export type HTTPRoute = Route

export const HTTPRoute: KindDefinition<Route> = {
  ...httpRouteName,
  singular: 'httproute',
  categories: ['gateway-api'],
  flavour: 'custom',
  hasStatus: true,
  hasGeneration: true,
  description: 'Which requests of some hosts go where, by path, header, method and query.',
  admit: (route: Route, { subresource }: AdmissionContext<Route>) =>
    subresource === '' ? refuseInvalid(HTTPRoute, route, problems(route)) : route,
  schema,
  versions: [sameInV1beta1(schema)],
  columns: [
    {
      name: 'Hostnames',
      type: 'string',
      value: ({ spec }) => (spec.hostnames ? JSON.stringify(spec.hostnames) : undefined),
    },
    ageColumn,
  ],
}
