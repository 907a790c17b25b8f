/** Defaults and validation that both kinds of webhook configurations share (admissionregistration/validation). */
import { labelSelectorProblems } from './label-selector-problems.ts'
import {
  duplicate,
  fill,
  notAllowed,
  notSupported,
  required,
  subdomainProblem,
  wrong,
  type Complaints,
} from './validation.ts'

interface Rule {
  readonly apiGroups?: readonly string[]
  readonly apiVersions?: readonly string[]
  readonly operations?: readonly string[]
  readonly resources?: readonly string[]
  readonly scope?: string
}

export interface ClientConfig {
  readonly url?: string
  readonly caBundle?: string
  readonly service?: {
    readonly name: string
    readonly namespace: string
    readonly path?: string
    readonly port?: number
  }
}

interface Webhook {
  readonly name: string
  readonly admissionReviewVersions: readonly string[]
  readonly clientConfig: ClientConfig
  readonly failurePolicy?: string
  readonly matchPolicy?: string
  readonly sideEffects: string
  readonly timeoutSeconds?: number
  readonly reinvocationPolicy?: string
  readonly rules?: readonly Rule[]
  readonly namespaceSelector?: object
  readonly objectSelector?: object
  readonly matchConditions?: readonly { readonly name: string; readonly expression: string }[]
}

interface Configuration {
  readonly webhooks?: readonly Webhook[]
}

/** A configuration with what Kubernetes fills in; the same reference when nothing was missing. */
export function withWebhookDefaults<T extends Configuration>(given: T, more: Partial<Webhook>): T {
  if (!given.webhooks) return given
  const webhooks = given.webhooks.map((webhook) => {
    const filled = fill(webhook, {
      failurePolicy: 'Fail',
      matchPolicy: 'Equivalent',
      timeoutSeconds: 10,
      namespaceSelector: {},
      objectSelector: {},
      ...more,
    })
    const service = filled.clientConfig?.service
    return {
      ...filled,
      ...(service && {
        clientConfig: { ...filled.clientConfig, service: fill(service, { port: 443 }) },
      }),
      ...(filled.rules && { rules: filled.rules.map((rule) => fill(rule, { scope: '*' })) }),
    }
  })
  return { ...given, webhooks }
}

export function* webhookProblems({ webhooks = [] }: Configuration): Complaints {
  const names = new Set<string>()
  for (const [i, webhook] of webhooks.entries()) {
    const at = `webhooks[${i}]`
    if (names.has(webhook.name)) yield duplicate(`${at}.name`, webhook.name)
    names.add(webhook.name)
    yield* webhookProblem(at, webhook)
  }
}

function* webhookProblem(at: string, webhook: Webhook): Complaints {
  if (!webhook.name) yield required(`${at}.name`)
  else {
    const problem = subdomainProblem(webhook.name)
    if (problem) yield wrong(`${at}.name`, webhook.name, problem)
    else if (webhook.name.split('.').length < 3)
      yield wrong(
        `${at}.name`,
        webhook.name,
        'should be a domain with at least three segments separated by dots',
      )
  }
  const versions = webhook.admissionReviewVersions ?? []
  if (versions.length === 0)
    yield required(`${at}.admissionReviewVersions`, 'must specify one of v1, v1beta1')
  else if (!versions.includes('v1') && !versions.includes('v1beta1'))
    yield wrong(
      `${at}.admissionReviewVersions`,
      versions,
      'must include at least one of v1, v1beta1',
    )
  yield* enumerated(`${at}.failurePolicy`, webhook.failurePolicy, ['Fail', 'Ignore'])
  yield* enumerated(`${at}.matchPolicy`, webhook.matchPolicy, ['Equivalent', 'Exact'])
  yield* enumerated(`${at}.reinvocationPolicy`, webhook.reinvocationPolicy, ['IfNeeded', 'Never'])
  if (!webhook.sideEffects)
    yield required(`${at}.sideEffects`, 'must specify one of None, NoneOnDryRun')
  else yield* enumerated(`${at}.sideEffects`, webhook.sideEffects, ['None', 'NoneOnDryRun'])
  const { timeoutSeconds = 10 } = webhook
  if (timeoutSeconds < 1 || timeoutSeconds > 30)
    yield wrong(
      `${at}.timeoutSeconds`,
      timeoutSeconds,
      `the timeout value must be between 1 and 30 seconds`,
    )
  yield* labelSelectorProblems(`${at}.namespaceSelector`, webhook.namespaceSelector)
  yield* labelSelectorProblems(`${at}.objectSelector`, webhook.objectSelector)
  for (const [i, rule] of (webhook.rules ?? []).entries())
    yield* ruleProblems(`${at}.rules[${i}]`, rule)
  yield* clientConfigProblems(`${at}.clientConfig`, webhook.clientConfig)
}

function* enumerated(
  field: string,
  value: string | undefined,
  known: readonly string[],
): Complaints {
  if (value !== undefined && !known.includes(value)) yield notSupported(field, value, known)
}

/** One rule with operations, of webhooks and of admission policies. */
export function* ruleProblems(at: string, rule: Rule): Complaints {
  const { apiGroups = [], apiVersions = [], operations = [], resources = [], scope } = rule
  if (operations.length === 0) yield required(`${at}.operations`)
  for (const [i, each] of operations.entries())
    yield* enumerated(`${at}.operations[${i}]`, each, [
      '*',
      'CONNECT',
      'CREATE',
      'DELETE',
      'UPDATE',
    ])
  if (apiGroups.length === 0) yield required(`${at}.apiGroups`)
  if (apiVersions.length === 0) yield required(`${at}.apiVersions`)
  if (resources.length === 0) yield required(`${at}.resources`)
  for (const [name, list] of Object.entries({ operations, apiGroups, apiVersions }))
    if (list.length > 1 && list.includes('*'))
      yield wrong(
        `${at}.${name}`,
        list,
        "if '*' is present, must not specify other " + describe[name],
      )
  yield* enumerated(`${at}.scope`, scope, ['*', 'Cluster', 'Namespaced'])
}

const describe: Readonly<Record<string, string>> = {
  operations: 'operations',
  apiGroups: 'API groups',
  apiVersions: 'API versions',
}

/** Where a webhook is: an https URL or a Service, not both (apiserver `util/webhook`). */
export function* clientConfigProblems(at: string, config: ClientConfig | undefined): Complaints {
  const { url, service } = config ?? {}
  if ((url === undefined) === (service === undefined))
    yield required(at, 'exactly one of url or service is required')
  if (url !== undefined) yield* urlProblems(`${at}.url`, url)
  if (!service) return
  if (!service.name) yield required(`${at}.service.name`, 'service name is required')
  if (!service.namespace) yield required(`${at}.service.namespace`, 'service namespace is required')
  const { port = 443, path } = service
  if (!Number.isInteger(port) || port < 1 || port > 65_535)
    yield wrong(
      `${at}.service.port`,
      port,
      'port is not valid: must be between 1 and 65535, inclusive',
    )
  if (path !== undefined && !path.startsWith('/'))
    yield wrong(`${at}.service.path`, path, "must start with a '/'")
}

function* urlProblems(field: string, text: string): Complaints {
  let url: URL
  try {
    url = new URL(text)
  } catch {
    return yield wrong(field, text, 'url must be a valid URL: it cannot be parsed')
  }
  if (url.protocol !== 'https:')
    yield wrong(
      field,
      text,
      `'https' is the only allowed URL scheme; desired format: https://host[/path]`,
    )
  if (!url.hostname)
    yield wrong(field, text, 'host must be specified; desired format: https://host[/path]')
  if (url.username || url.password)
    yield notAllowed(field, 'user information is not permitted in the URL')
  if (url.hash) yield notAllowed(field, 'fragments are not permitted in the URL')
  if (url.search) yield notAllowed(field, 'query parameters are not permitted in the URL')
}
