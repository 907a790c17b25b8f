/**
 * The kind that a CustomResourceDefinition makes, as the API server knows kinds. Its schemas are read when they are first
 * needed: a server with thousands of definitions starts as fast as one with none.
 */
import { servedVersionsOf } from '../../api/kind.ts'
import type {
  AdmissionContext,
  FieldReader,
  KindDefinition,
  ServedVersion,
} from '../../api/kind.ts'
import type {
  CustomResourceDefinition,
  CustomVersion,
} from '../../api/custom-resource-definition.ts'
import type { KubeObject } from '../../api/meta.ts'
import type { Schema } from '../../api/schema.ts'
import { StatusError, invalid } from '../../api/status-error.ts'
import type { FieldCause } from '../../api/status-error.ts'
import { withTypeAndMetadata } from '../../api/schema-node.ts'
import { wrong } from '../../api/validation.ts'
import { open } from '../values.ts'
import { ruleProblems } from './cel/rules.ts'
import { hasRules } from './cel/rules.ts'
import { cleanSchema } from './clean-schema.ts'
import { customColumns } from './columns.ts'
import { customScale } from './custom-scale.ts'
import type { CustomSchema } from './custom-schema.ts'
import { fieldAt, simplePath } from './json-path.ts'
import { defaulted, pruned } from './structure.ts'
import { valueProblems } from './value-problems.ts'

/** Makes one version of an object into another. May throw `Awaiting`. */
export interface Converter {
  convert(object: KubeObject, apiVersion: string): KubeObject
  /** False: versions differ in their `apiVersion` alone. */
  readonly asks: boolean
}

export interface CustomKindDeps {
  readonly converter: Converter
  /** True while the definition is being deleted: nothing new is made. */
  readonly isTerminating: () => boolean
}

/** `definition` must have been found valid, and its names accepted. */
export function customKind(
  definition: CustomResourceDefinition,
  deps: CustomKindDeps,
): KindDefinition {
  const { spec } = definition
  const storage = spec.versions.find((version) => version.storage) ?? spec.versions[0]
  if (!storage) throw new Error(`${definition.metadata.name} has no versions`)
  const served = spec.versions.filter((version) => version.served)
  const forms = new Map<string, VersionForm>()
  const kinds = new Map<string, KindDefinition>()

  const formOf = (name: string): VersionForm => {
    const known = forms.get(name)
    if (known) return known
    const version = spec.versions.find((each) => each.name === name) ?? storage
    const form = new VersionForm(spec.group, version)
    forms.set(name, form)
    return form
  }
  const stored = `${spec.group}/${storage.name}`
  const { converter } = deps

  /** A stored object, of whatever version, as another version. */
  function show(object: KubeObject, form: VersionForm): KubeObject {
    const known = form.shown.get(object)
    if (known) return known
    const converted =
      object.apiVersion === form.apiVersion ? object : converter.convert(object, form.apiVersion)
    const answer = defaulted(form.whole, pruned(form.whole, converted))
    form.shown.set(object, answer)
    return answer
  }

  function toStorage(object: KubeObject): KubeObject {
    if (object.apiVersion === stored) return object
    const form = formOf(storage?.name ?? '')
    const converted = converter.convert(object, stored)
    return converter.asks ? defaulted(form.whole, pruned(form.whole, converted)) : converted
  }

  const versions: readonly ServedVersion[] = served.map((version) => ({
    version: version.name,
    get schema(): Schema {
      return formOf(version.name).schema
    },
    ...(version.deprecated && { deprecationWarning: deprecation(definition, version) }),
    toStorage,
    fromStorage: (object) => show(object, formOf(version.name)),
  }))

  function inVersion(name: string): KindDefinition {
    const known = kinds.get(name)
    if (known) return known
    const form = formOf(name)
    const { version } = form
    const { subresources = {} } = version
    const kind: KindDefinition = {
      group: spec.group,
      version: storage?.name ?? '',
      kind: spec.names.kind,
      plural: spec.names.plural,
      singular: spec.names.singular ?? spec.names.kind.toLowerCase(),
      shortNames: spec.names.shortNames ?? [],
      categories: spec.names.categories ?? [],
      namespaced: spec.scope === 'Namespaced',
      get description() {
        return form.schema.description ?? ''
      },
      get schema() {
        return formOf(storage?.name ?? '').schema
      },
      flavour: 'custom',
      columns: customColumns(version),
      hasStatus: subresources.status !== undefined,
      hasGeneration: true,
      ...(subresources.scale && { scale: customScale(subresources.scale) }),
      ...(version.selectableFields && { selectableFields: selectable(version) }),
      versions,
      custom: {
        revision: `${definition.metadata.uid ?? ''}/${definition.metadata.generation ?? 0}`,
        servedVersions: servedVersionsOf({ version: '', versions: served.map(versionName) }).filter(
          Boolean,
        ),
        inVersion,
        read(object) {
          const whole = defaulted(form.whole, pruned(form.whole, object))
          if (!converter.asks || form.name === storage?.name) return toStorage(whole)
          // What the webhook gets has been checked by the schema of its version.
          refuse(kind, whole, valueProblems(form.schema, withoutStatus(kind, whole)))
          return toStorage(whole)
        },
        upgrade: (object) => show(object, formOf(storage?.name ?? '')),
        converter,
      },
      admit: (object, context) => admit(kind, form, object, context),
    }
    kinds.set(name, kind)
    return kind
  }

  function admit(
    kind: KindDefinition,
    form: VersionForm,
    object: KubeObject,
    { operation, old }: AdmissionContext,
  ): KubeObject {
    if (operation === 'CREATE' && deps.isTerminating())
      throw new StatusError(
        'MethodNotAllowed',
        'create not allowed while custom resource definition is terminating',
      )
    // Without a webhook all versions are the same data: it is checked by the schema of the version that was written.
    const by = converter.asks ? formOf(storage?.name ?? '') : form
    const inForm = (each: KubeObject) => ({ ...each, apiVersion: by.apiVersion })
    const now = inForm(object)
    const before = old && inForm(old)
    refuse(kind, object, [
      ...metadataProblems(by.schema, now),
      ...replicaProblems(by.version, now),
      ...problems(by.schema, now, before),
    ])
    return object
  }

  return inVersion(storage.name)
}

const versionName = ({ name }: CustomVersion) => ({ version: name })

function problems(schema: CustomSchema, now: KubeObject, old: KubeObject | undefined) {
  const causes = valueProblems(schema, now, { old })
  if (!hasRules(schema)) return causes
  if (causes.length > 0)
    return [
      ...causes,
      wrong(
        '<nil>',
        null,
        'some validation rules were not checked because the object was invalid; correct the existing errors to complete validation',
      ),
    ].map(quotedNull)
  return ruleProblems(schema, now, old)
}

const quotedNull = (cause: FieldCause): FieldCause =>
  cause.field === '<nil>' && cause.detail.startsWith('Invalid value: null:')
    ? { ...cause, detail: cause.detail.replace('null', '"null"') }
    : cause

function refuse(kind: KindDefinition, object: KubeObject, causes: readonly FieldCause[]): void {
  if (causes.length > 0) throw invalid(kind, object.metadata.name, causes)
}

const withoutStatus = (kind: KindDefinition, object: KubeObject): KubeObject => {
  if (!kind.hasStatus) return object
  const { status: _, ...rest } = open(object)
  return rest as KubeObject
}

/** The schema may narrow names, which lie in the metadata that it does not describe otherwise. */
function metadataProblems(schema: CustomSchema, { metadata }: KubeObject): readonly FieldCause[] {
  const narrowed = schema.properties?.['metadata']
  if (!narrowed?.properties) return []
  const { name, generateName } = metadata
  return valueProblems(
    { type: 'object', properties: narrowed.properties },
    { name, ...(generateName !== undefined && { generateName }) },
    { path: 'metadata' },
  )
}

function replicaProblems(
  { subresources }: CustomVersion,
  object: KubeObject,
): readonly FieldCause[] {
  const path = subresources?.scale?.specReplicasPath
  if (!path) return []
  const value = fieldAt(object, simplePath(path))
  return typeof value === 'number' && value < 0
    ? [wrong(path, value, 'should be a non-negative integer')]
    : []
}

const deprecation = ({ spec }: CustomResourceDefinition, version: CustomVersion): string =>
  version.deprecationWarning ?? `${spec.group}/${version.name} ${spec.names.kind} is deprecated`

function selectable(version: CustomVersion): Readonly<Record<string, FieldReader<KubeObject>>> {
  return Object.fromEntries(
    (version.selectableFields ?? []).map(({ jsonPath }) => {
      const path = simplePath(jsonPath)
      const read = (object: KubeObject): string => {
        const value = fieldAt(object, path)
        return typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean'
          ? String(value)
          : ''
      }
      return [jsonPath.replace(/^\./, ''), read]
    }),
  )
}

/** A version with its schema in the forms that are asked for, each made once. */
class VersionForm {
  readonly name: string
  readonly apiVersion: string
  readonly version: CustomVersion
  /** Stored objects as this version shows them; most are the same. */
  readonly shown = new WeakMap<KubeObject, KubeObject>()
  #schema: CustomSchema | undefined
  #whole: Schema | undefined

  constructor(group: string, version: CustomVersion) {
    this.name = version.name
    this.apiVersion = `${group}/${version.name}`
    this.version = version
  }

  get schema(): CustomSchema {
    return (this.#schema ??= cleanSchema(this.version.schema?.openAPIV3Schema))
  }

  /** With apiVersion, kind and metadata as every object has them. */
  get whole(): Schema {
    return (this.#whole ??= withTypeAndMetadata(this.schema))
  }
}
