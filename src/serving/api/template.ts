/**
 * The template of Services and Configurations: what old tutorials write beside the mark is put right, defaults, and what
 * must hold.
 */
import { parseFloat64 } from '../../knative/config-values.ts'
import {
  asWarning,
  disallowedFields,
  genericError,
  invalidKeyName,
  invalidValue,
  outOfBounds,
  via,
  type FieldError,
} from '../../knative/field-error.ts'
import { shortDiff } from '../../knative/short-diff.ts'
import type { KubeObject, ObjectMeta } from '../../kube/api/meta.ts'
import { quantityProblem } from '../../kube/api/quantity.ts'
import { label1035Problem, sameJson } from '../../kube/api/validation.ts'
import { validateAutoscaling } from './autoscaling-annotations.ts'
import { validateDataPlane } from './data-plane-annotations.ts'
import { refuseUndecodable } from './decoding.ts'
import { validateWholeSeconds } from './metadata.ts'
import { annotationSpellings, firstSpelling } from './names.ts'
import { defaultRevisionSpec } from './revision-defaults.ts'
import type { RevisionTemplate } from './revision-spec.ts'
import { validateRevisionSpec } from './revision-validation.ts'
import type { ServingConfigs } from './serving-configs.ts'

/** An object with a template. */
export interface Templated extends KubeObject {
  readonly spec: { readonly template: RevisionTemplate }
}

/**
 * Annotations written directly under `metadata` become annotations, numbers and booleans as their values become
 * strings; each with a warning. Old tutorials have both.
 */
export function repairTemplateMetadata(
  template: RevisionTemplate,
  warn: (text: string) => void,
): RevisionTemplate {
  const { metadata } = template
  if (!metadata) return template
  const annotations: Record<string, unknown> = {}
  const rest: Record<string, unknown> = {}
  let repaired = false
  for (const [key, value] of Object.entries(metadata)) {
    if (!key.includes('/') || typeof value === 'object') {
      rest[key] = value
      continue
    }
    warn(`spec.template.metadata["${key}"] is not a metadata field; read as an annotation`)
    annotations[key] = String(value)
    repaired = true
  }
  for (const [key, value] of Object.entries<unknown>(metadata.annotations ?? {})) {
    if (typeof value !== 'number' && typeof value !== 'boolean') {
      // What is not a string either is refused by validation.
      annotations[key] = value
      continue
    }
    warn(
      `spec.template.metadata.annotations["${key}"]: ${value} is not a string; read as "${value}"`,
    )
    annotations[key] = String(value)
    repaired = true
  }
  if (!repaired) return template
  return { ...template, metadata: { ...rest, annotations: annotations as Record<string, string> } }
}

/**
 * The template of `object` defaulted. A named Revision's template that did not change is left as it was stored, so that
 * new cluster defaults cannot turn it into another one.
 */
export function defaultTemplate<T extends Templated>(
  object: T,
  old: T | undefined,
  configs: ServingConfigs,
  isCreate: boolean,
): T {
  const { template } = object.spec
  if (!template?.spec) return object
  if (isCreate || old?.spec.template !== template) refuseUndecodable(template.spec)
  const defaulted: RevisionTemplate = {
    ...template,
    spec: defaultRevisionSpec(template.spec, {
      defaults: configs.defaults,
      features: configs.features,
      isCreate,
      parent: object.metadata,
    }),
  }
  const before = old?.spec.template
  const isUnchanged =
    before?.metadata?.name !== undefined &&
    (sameJson(template, before) || sameJson(defaulted, before))
  const chosen = isUnchanged ? before : defaulted
  return { ...object, spec: { ...object.spec, template: chosen } }
}

/** Paths begin at the spec. `parent` is the metadata of the Service or Configuration. */
export function* validateTemplate(
  template: RevisionTemplate | undefined,
  parent: ObjectMeta,
  configs: ServingConfigs,
): Generator<FieldError> {
  const metadata: Partial<ObjectMeta> = template?.metadata ?? {}
  yield* via('template.metadata', validateTemplateName(metadata, parent))
  yield* via(
    'template.metadata.annotations',
    validateRevisionAnnotations(metadata.annotations, configs),
  )
  yield* via('template.spec', validateRevisionSpec(template?.spec, configs))
}

function* validateTemplateName(
  { name, generateName }: Partial<ObjectMeta>,
  parent: ObjectMeta,
): Generator<FieldError> {
  const problem = name && label1035Problem(name)
  if (problem) yield invalidValue(`not a DNS 1035 label: [${problem}]`, 'name')
  const prefixProblem = generateName && label1035Problem(generateName.replace(/-$/, 'a'))
  if (prefixProblem)
    yield invalidValue(`not a DNS 1035 label prefix: [${prefixProblem}]`, 'generateName')
  if (!name) return
  if (parent.generateName && (!parent.name || parent.name.startsWith(parent.generateName)))
    yield disallowedFields('name')
  else if (!name.startsWith(`${parent.name}-`))
    yield genericError(
      `invalid value: ${JSON.stringify(name)} must have prefix ${JSON.stringify(`${parent.name}-`)}`,
      'name',
    )
}

const networkingAnnotations = new Set<string>([
  ...annotationSpellings.ingressClass,
  ...annotationSpellings.certificateClass,
  ...annotationSpellings.disableExternalDomainTls,
  ...annotationSpellings.httpProtocol,
])

const queueResource =
  /^queue\.sidecar\.serving\.knative\.dev\/(cpu|memory|ephemeral-storage)-resource-(request|limit)$/
const resourcePercentage = [
  'queue.sidecar.serving.knative.dev/resource-percentage',
  'queue.sidecar.serving.knative.dev/resourcePercentage',
]

/** Annotations of a Revision or template; paths begin behind `annotations`. */
export function* validateRevisionAnnotations(
  annotations: Readonly<Record<string, string>> | undefined,
  { autoscaler }: ServingConfigs,
): Generator<FieldError> {
  if (!annotations) return
  const strange = Object.entries<unknown>(annotations).filter(
    ([, value]) => typeof value !== 'string',
  )
  for (const [key, value] of strange) yield invalidValue(JSON.stringify(value), key)
  if (strange.length > 0) return
  yield* validateAutoscaling(annotations, autoscaler)
  yield* validateDataPlane(annotations)
  for (const [key, value] of Object.entries(annotations)) {
    if (key.startsWith('networking.knative.dev/') && !networkingAnnotations.has(key))
      yield invalidKeyName(key, '')
    if (queueResource.test(key) && quantityProblem(value)) yield invalidValue(value, `[${key}]`)
  }
  const percentage = firstSpelling(annotations, resourcePercentage)
  if (percentage) {
    const { key, value } = percentage
    const number = parseFloat64(value)
    if (number === undefined) yield invalidValue(value, `[${key}]`)
    else if (number < 0.1 || number > 100) yield outOfBounds(value, 0.1, 100, `[${key}]`)
    yield asWarning(
      genericError(
        'Queue proxy resource-percentage annotation is deprecated. Please use the available annotations to explicitly set resource values per service',
        `[${key}]`,
      ),
    )
  }
  const deadline = firstSpelling(annotations, annotationSpellings.progressDeadline)
  if (deadline) yield* validateWholeSeconds('progress-deadline', deadline, 1)
}

/** A Revision that has a name of the user's cannot become another one under that name. Paths begin at the spec. */
export function* validateNamedRevision(
  template: RevisionTemplate | undefined,
  before: RevisionTemplate | undefined,
): Generator<FieldError> {
  const name = template?.metadata?.name
  if (!name || name !== before?.metadata?.name) return
  const details = sameJson(before, template)
    ? ''
    : shortDiff('v1.RevisionTemplateSpec', before, template)
  if (details) {
    yield {
      message: 'Saw the following changes without a name change (-old +new)',
      paths: ['template.metadata.name'],
      details,
    }
  }
}
