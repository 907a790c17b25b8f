/**
 * Templates of 2018 (`revisionTemplate` with one `container`) as today's, and the slips of tutorials put right.
 */
import {
  disallowedFields,
  multipleOneOf,
  missingOneOf,
  type FieldError,
} from '../../../knative/field-error.ts'
import { anything, integer, list, object, string, type Schema } from '../../../kube/api/schema.ts'
import { RevisionSpec, RevisionTemplate } from '../revision-spec.ts'
import { fieldsOf, isFields, listOf, without, type Fields } from './fields.ts'

/** Numbers of a probe that the book has one level too deep, under httpGet or tcpSocket. */
const probeNumbers = [
  'initialDelaySeconds',
  'timeoutSeconds',
  'periodSeconds',
  'successThreshold',
  'failureThreshold',
] as const
const handlers = ['httpGet', 'tcpSocket'] as const
const probes = ['livenessProbe', 'readinessProbe', 'startupProbe'] as const

/** The schema with those numbers known there, so that they are lifted instead of lost. */
function tolerant(schema: Schema, name = ''): Schema {
  const deep = handlers.some((handler) => handler === name)
  const properties = {
    ...schema.properties,
    ...(deep && Object.fromEntries(probeNumbers.map((number) => [number, integer()]))),
  }
  return {
    ...schema,
    ...(schema.properties && {
      properties: Object.fromEntries(
        Object.entries(properties).map(([key, value]) => [key, tolerant(value, key)]),
      ),
    }),
    ...(schema.items && { items: tolerant(schema.items) }),
  }
}

const { required: _required, ...tolerantSpec } = tolerant(RevisionSpec)
const specProperties = tolerantSpec.properties ?? {}

export const legacyRevisionSpec: Schema = {
  ...tolerantSpec,
  properties: {
    ...specProperties,
    container: {
      ...(specProperties['containers']?.items ?? anything()),
      description: 'The one container; today containers[0].',
    },
    concurrencyModel: string({ description: 'Single or Multi; today containerConcurrency.' }),
    servingState: string({ description: 'Without meaning.' }),
    generation: integer({ description: 'Without meaning.' }),
    buildName: string({ description: 'Without meaning.' }),
    buildRef: anything({ description: 'Refused: Knative Build is gone.' }),
  },
}

const legacyTemplate: Schema = object(
  {
    metadata: RevisionTemplate.properties?.['metadata'] ?? anything(),
    spec: legacyRevisionSpec,
  },
  { description: 'What the next Revision looks like.' },
)

const oldTemplate: Schema = { ...legacyTemplate, description: 'Today template.' }

export const legacyConfigurationFields = {
  generation: integer({ description: 'Without meaning.' }),
  build: anything({ description: 'Refused: Knative Build is gone.' }),
  revisionTemplate: oldTemplate,
  template: legacyTemplate,
}

/** Also for the fields of a Service in a mode (`runLatest.configuration`). */
export const legacyConfigurationSpec: Schema = object(legacyConfigurationFields)

/** What is wrong with `template`, `revisionTemplate` and `build` of a Configuration. Paths begin at its spec. */
export function* validateLegacyConfiguration(
  spec: Fields,
  patched: boolean,
): Generator<FieldError> {
  if (spec['build'] !== undefined) yield disallowedFields('build')
  const set = ['revisionTemplate', 'template'].filter((field) => spec[field] !== undefined)
  if (set.length === 0) yield missingOneOf('revisionTemplate', 'template')
  if (set.length > 1 && !patched) yield multipleOneOf(...set)
  for (const field of set)
    yield* validateLegacySpec(fieldsOf(spec[field])['spec'], `${field}.spec`, patched)
}

/** What is wrong with the old fields of a Revision's spec. */
export function* validateLegacySpec(
  spec: unknown,
  path: string,
  patched: boolean,
): Generator<FieldError> {
  const { container, containers, buildRef } = fieldsOf(spec)
  if (buildRef !== undefined) yield disallowedFields(`${path}.buildRef`)
  if (container !== undefined && containers !== undefined && !patched)
    yield multipleOneOf(`${path}.container`, `${path}.containers`)
}

/** The template of a Configuration's spec, of whichever name. */
export function convertTemplate(spec: Fields, warn: (text: string) => void): Fields {
  const template = fieldsOf(spec['revisionTemplate'] ?? spec['template'])
  const { metadata } = template
  return {
    ...(metadata !== undefined && { metadata }),
    ...(isFields(template['spec']) && {
      spec: convertRevisionSpec(template['spec'], 'spec.template.spec', warn),
    }),
  }
}

/** A Revision's spec of 2018 as today's. `path` is where it stands, for warnings. */
export function convertRevisionSpec(
  spec: Fields,
  path: string,
  warn: (text: string) => void,
): Fields {
  const { container, concurrencyModel, containerConcurrency } = spec
  const rest = without(
    spec,
    'container',
    'concurrencyModel',
    'servingState',
    'generation',
    'buildName',
    'buildRef',
  )
  const containers = container === undefined ? listOf(spec['containers']) : [container]
  const model = concurrencyOf(concurrencyModel, containerConcurrency)
  return {
    ...rest,
    ...(containers.length > 0 && {
      containers: containers.map((each, i) =>
        liftProbeNumbers(fieldsOf(each), `${path}.containers[${i}]`, warn),
      ),
    }),
    ...(model !== undefined && { containerConcurrency: model }),
  }
}

function concurrencyOf(model: unknown, concurrency: unknown): number | undefined {
  if (typeof concurrency === 'number' && concurrency !== 0) return concurrency
  if (model === 'Single') return 1
  return model === 'Multi' || concurrency === 0 ? 0 : undefined
}

function liftProbeNumbers(container: Fields, path: string, warn: (text: string) => void): Fields {
  const lifted: Record<string, unknown> = {}
  for (const name of probes) {
    const probe = container[name]
    if (isFields(probe)) lifted[name] = liftNumbers(probe, name, path, warn)
  }
  return { ...container, ...lifted }
}

function liftNumbers(
  probe: Fields,
  name: string,
  path: string,
  warn: (text: string) => void,
): Fields {
  let result = probe
  for (const handler of handlers) {
    const inner = probe[handler]
    if (!isFields(inner)) continue
    const misplaced = probeNumbers.filter((number) => inner[number] !== undefined)
    if (misplaced.length === 0) continue
    for (const number of misplaced) {
      warn(
        `${path}.${name}.${handler}.${number}: unknown field, did you mean ${name}.${number}? Applied there.`,
      )
    }
    const numbers = Object.fromEntries(misplaced.map((number) => [number, inner[number]]))
    result = { ...numbers, ...result, [handler]: without(inner, ...misplaced) }
  }
  return result
}

/** A list of traffic targets with the old field `name`. */
export const legacyTraffic = (targets: Schema): Schema =>
  list({
    ...targets,
    properties: { ...targets.properties, name: string({ description: 'Today tag.' }) },
  })

/** What is wrong with old targets: both names. */
export function* validateLegacyTraffic(traffic: unknown): Generator<FieldError> {
  for (const [i, target] of listOf(traffic).entries()) {
    const { name, tag } = fieldsOf(target)
    if (name && tag && name !== tag) yield multipleOneOf(`traffic[${i}].name`, `traffic[${i}].tag`)
  }
}

/** Old targets as today's: `name` is `tag`. */
export const convertTraffic = (traffic: unknown): readonly Fields[] =>
  listOf(traffic).map((target) => {
    const { name, ...rest } = fieldsOf(target)
    return { ...rest, ...(name && !rest['tag'] ? { tag: name } : {}) }
  })
