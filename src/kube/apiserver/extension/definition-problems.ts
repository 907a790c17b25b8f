/** What is wrong with a CustomResourceDefinition besides its schemas (apiextensions `apiextensions/validation`). */
import type {
  CustomResourceDefinition,
  CustomVersion,
} from '../../api/custom-resource-definition.ts'
import { isObject } from '../../api/schema-node.ts'
import {
  duplicate,
  label1035Problem,
  notAllowed,
  notSupported,
  required,
  subdomainProblem,
  wrong,
  type Complaints,
} from '../../api/validation.ts'
import { clientConfigProblems } from '../../api/webhook-problems.ts'
import { JsonPathError, jsonPath, simplePath } from './json-path.ts'

/** In the order of the fields. */
export function* definitionProblems(
  definition: CustomResourceDefinition,
  old: CustomResourceDefinition | undefined,
): Complaints {
  const { metadata, spec } = definition
  const expected = `${spec.names?.plural ?? ''}.${spec.group ?? ''}`
  if (metadata.name !== expected)
    yield wrong('metadata.name', metadata.name, 'must be spec.names.plural+"."+spec.group')
  yield* groupProblems(definition)
  if (!spec.scope) yield required('spec.scope')
  else if (spec.scope !== 'Cluster' && spec.scope !== 'Namespaced')
    yield notSupported('spec.scope', spec.scope, ['Cluster', 'Namespaced'])
  if (spec.preserveUnknownFields === true)
    yield wrong(
      'spec.preserveUnknownFields',
      true,
      'cannot set to true, set x-kubernetes-preserve-unknown-fields to true in spec.versions[*].schema instead',
    )
  yield* nameProblems(definition)
  yield* versionsProblems(definition)
  yield* conversionProblems(definition)
  if (old && isEstablished(old)) yield* fixed(definition, old)
}

const isEstablished = ({ status }: CustomResourceDefinition): boolean =>
  status?.conditions?.some((each) => each.type === 'Established' && each.status === 'True') ?? false

/** What an established definition cannot change. */
function* fixed(definition: CustomResourceDefinition, old: CustomResourceDefinition): Complaints {
  const { spec } = definition
  const immutable: readonly (readonly [string, unknown, unknown])[] = [
    ['spec.group', spec.group, old.spec.group],
    ['spec.scope', spec.scope, old.spec.scope],
    ['spec.names.kind', spec.names.kind, old.spec.names.kind],
    ['spec.names.plural', spec.names.plural, old.spec.names.plural],
  ]
  for (const [field, now, before] of immutable)
    if (now !== before) yield wrong(field, now, 'field is immutable')
  for (const [i, stored] of (old.status?.storedVersions ?? []).entries())
    if (!spec.versions.some(({ name }) => name === stored))
      yield wrong(
        `status.storedVersions[${i}]`,
        stored,
        'missing from spec.versions; must not be removed while objects are stored in it',
      )
}

function* groupProblems({ metadata, spec: { group } }: CustomResourceDefinition): Complaints {
  if (!group) return yield required('spec.group')
  const problem = subdomainProblem(group)
  if (problem) return yield wrong('spec.group', group, problem)
  if (!group.includes('.'))
    return yield wrong('spec.group', group, 'should be a domain with at least one dot')
  if (!group.endsWith('.k8s.io') && !group.endsWith('.kubernetes.io')) return
  const approval = metadata.annotations?.['api-approved.kubernetes.io']
  if (approval === undefined || approval === '')
    yield required(
      'metadata.annotations[api-approved.kubernetes.io]',
      'protected groups must have approval annotation "api-approved.kubernetes.io", see https://github.com/kubernetes/enhancements/pull/1111',
    )
  else if (!approval.startsWith('unapproved') && !URL.canParse(approval))
    yield wrong(
      'metadata.annotations[api-approved.kubernetes.io]',
      approval,
      'protected groups must have approval annotation "api-approved.kubernetes.io" with either a URL or a reason starting with "unapproved", see https://github.com/kubernetes/enhancements/pull/1111',
    )
}

function* nameProblems({ spec: { names } }: CustomResourceDefinition): Complaints {
  const at = 'spec.names'
  if (!names) return yield required(at)
  const { kind, listKind, plural, singular, shortNames = [], categories = [] } = names
  for (const [field, value] of Object.entries({ plural, singular })) {
    if (!value) yield required(`${at}.${field}`)
    else {
      const problem = label1035Problem(value)
      if (problem) yield wrong(`${at}.${field}`, value, problem)
    }
  }
  for (const [field, value] of Object.entries({ kind, listKind })) {
    if (!value) yield required(`${at}.${field}`)
    else {
      const problem = label1035Problem(value.toLowerCase())
      if (problem)
        yield wrong(
          `${at}.${field}`,
          value,
          `may have mixed case, but should otherwise match: ${problem}`,
        )
    }
  }
  if (kind && kind === listKind)
    yield wrong(`${at}.listKind`, listKind, 'kind and listKind may not be the same')
  for (const [field, list] of [
    ['shortNames', shortNames],
    ['categories', categories],
  ] as const)
    for (const [i, each] of list.entries()) {
      const problem = label1035Problem(each)
      if (problem) yield wrong(`${at}.${field}[${i}]`, each, problem)
    }
}

function* versionsProblems({ spec }: CustomResourceDefinition): Complaints {
  const versions = spec.versions ?? []
  if (versions.length === 0) yield required('spec.versions')
  const names = new Set<string>()
  for (const [i, version] of versions.entries()) {
    const at = `spec.versions[${i}]`
    const problem = label1035Problem(version.name ?? '')
    if (problem) yield wrong(`${at}.name`, version.name, problem)
    if (names.has(version.name)) yield duplicate(`${at}.name`, version.name)
    names.add(version.name)
    yield* versionProblems(version, at)
  }
  if (versions.length > 0 && versions.filter(({ storage }) => storage).length !== 1)
    yield wrong(
      'spec.versions',
      versions.map(({ name }) => name),
      'must have exactly one version marked as storage version',
    )
}

const columnTypes = ['boolean', 'date', 'integer', 'number', 'string']

function* versionProblems(version: CustomVersion, at: string): Complaints {
  if (version.schema?.openAPIV3Schema === undefined)
    yield required(`${at}.schema.openAPIV3Schema`, 'schemas are required')
  if (version.deprecationWarning !== undefined) {
    if (!version.deprecated)
      yield wrong(
        `${at}.deprecationWarning`,
        version.deprecationWarning,
        'can only be set for deprecated versions',
      )
    if (version.deprecationWarning.length > 256)
      yield wrong(
        `${at}.deprecationWarning`,
        version.deprecationWarning,
        'must be <= 256 bytes in length',
      )
    else if (version.deprecationWarning.trim() === '')
      yield wrong(
        `${at}.deprecationWarning`,
        version.deprecationWarning,
        'must not be empty if specified',
      )
  }
  for (const [i, column] of (version.additionalPrinterColumns ?? []).entries()) {
    const here = `${at}.additionalPrinterColumns[${i}]`
    if (!column.name) yield required(`${here}.name`)
    if (!column.type) yield required(`${here}.type`, `must be one of ${columnTypes.join(',')}`)
    else if (!columnTypes.includes(column.type))
      yield notSupported(`${here}.type`, column.type, columnTypes)
    yield* pathProblems(`${here}.jsonPath`, column.jsonPath, jsonPath)
  }
  const { scale } = version.subresources ?? {}
  if (isObject(scale)) {
    const here = `${at}.subresources.scale`
    yield* scalePath(`${here}.specReplicasPath`, scale.specReplicasPath, '.spec.')
    yield* scalePath(`${here}.statusReplicasPath`, scale.statusReplicasPath, '.status.')
    const { labelSelectorPath } = scale
    if (labelSelectorPath) {
      yield* pathProblems(`${here}.labelSelectorPath`, labelSelectorPath, simplePath)
      if (!/^\.(?:status|spec)\./.test(labelSelectorPath))
        yield wrong(
          `${here}.labelSelectorPath`,
          labelSelectorPath,
          'should be a json path under either .spec or .status',
        )
    }
  }
  const selectable = version.selectableFields ?? []
  if (selectable.length > 8)
    yield wrong(`${at}.selectableFields`, selectable.length, 'must have at most 8 items')
  for (const [i, { jsonPath: path }] of selectable.entries()) {
    const here = `${at}.selectableFields[${i}].jsonPath`
    yield* pathProblems(here, path, simplePath)
    if (path?.startsWith('.metadata.'))
      yield wrong(here, path, 'must not point to fields in metadata')
    if (selectable.findIndex((each) => each.jsonPath === path) < i) yield duplicate(here, path)
  }
}

function* scalePath(field: string, path: string, below: string): Complaints {
  yield* pathProblems(field, path, simplePath)
  if (path && !path.startsWith(below))
    yield wrong(field, path, `should be a json path under ${below.slice(0, -1)}`)
}

function* pathProblems(
  field: string,
  path: string | undefined,
  read: (text: string) => unknown,
): Complaints {
  if (!path) return yield required(field)
  try {
    read(path)
  } catch (thrown) {
    if (!(thrown instanceof JsonPathError)) throw thrown
    yield wrong(field, path, thrown.message)
  }
}

function* conversionProblems({ spec: { conversion } }: CustomResourceDefinition): Complaints {
  if (!conversion) return
  const at = 'spec.conversion'
  const { strategy, webhook } = conversion
  if (strategy === 'None') {
    if (webhook)
      yield notAllowed(`${at}.webhook`, 'should not be set when strategy is not set to Webhook')
    return
  }
  if (strategy !== 'Webhook')
    return yield notSupported(`${at}.strategy`, strategy, ['None', 'Webhook'])
  if (!webhook)
    return yield required(`${at}.webhook.clientConfig`, 'required when strategy is set to Webhook')
  yield* clientConfigProblems(`${at}.webhook.clientConfig`, webhook.clientConfig)
  const versions = webhook.conversionReviewVersions ?? []
  if (versions.length === 0) yield required(`${at}.webhook.conversionReviewVersions`)
  else if (!versions.includes('v1') && !versions.includes('v1beta1'))
    yield wrong(
      `${at}.webhook.conversionReviewVersions`,
      versions,
      'must include at least one of v1, v1beta1',
    )
}
