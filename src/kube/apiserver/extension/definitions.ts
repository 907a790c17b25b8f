/**
 * The CustomResourceDefinitions: which are there, what their admission checks, and the kinds that they put into the
 * registry. Follows the store, so that what is served is always what is stored, after a restart too.
 */
import {
  CustomResourceDefinition,
  definitionCondition,
  withDefaults,
} from '../../api/custom-resource-definition.ts'
import type { AdmissionContext, KindDefinition } from '../../api/kind.ts'
import type { KubeObject } from '../../api/meta.ts'
import { invalid, qualifiedResource } from '../../api/status-error.ts'
import type { FieldCause } from '../../api/status-error.ts'
import { wrong } from '../../api/validation.ts'
import type { AdmissionPlugin, Machinery } from '../machinery.ts'
import { storeKey, storePrefix } from '../registry.ts'
import { equal } from '../values.ts'
import { compileProblems } from './cel/rules.ts'
import { Cleanup, cleanupFinalizer } from './cleanup.ts'
import { cleanSchema } from './clean-schema.ts'
import { converterOf } from './conversion.ts'
import { customKind } from './custom-kind.ts'
import { definitionProblems } from './definition-problems.ts'
import { withStatus, type TakenNames } from './definition-status.ts'
import { schemaProblems } from './schema-problems.ts'
import type { WebhookCaller } from './webhook-caller.ts'

const prefix = storePrefix(CustomResourceDefinition)

/** More than this many definitions are refused: each costs memory for as long as the server runs. */
const maxDefinitions = 5000

interface Served {
  readonly definition: CustomResourceDefinition
  /** Absent when its names are not accepted, or when the server has the kind itself. */
  readonly kind: KindDefinition | undefined
}

export class Definitions implements Disposable {
  readonly #machinery: Machinery
  readonly #webhooks: WebhookCaller
  readonly #cleanup: Cleanup
  /** By name, `<plural>.<group>`. */
  readonly #served = new Map<string, Served>()
  /** By group: the names of the definitions in it. */
  readonly #groups = new Map<string, Set<string>>()
  /** `<plural>.<group>` of the kinds that the server has itself. */
  readonly #native: ReadonlyMap<string, KindDefinition>
  readonly #subscription: Disposable
  readonly plugin: AdmissionPlugin

  constructor(machinery: Machinery, webhooks: WebhookCaller) {
    this.#machinery = machinery
    this.#webhooks = webhooks
    this.#native = new Map(machinery.registry.kinds.map((kind) => [qualifiedResource(kind), kind]))
    this.#cleanup = new Cleanup(machinery)
    this.plugin = {
      kind: CustomResourceDefinition,
      admit: (object, context) => this.#admit(asDefinition(object), context),
    }
    for (const object of machinery.store.list(prefix).items) this.#follow(asDefinition(object))
    this.#subscription = machinery.store.subscribe(({ key, type, object }) => {
      if (!key.startsWith(prefix)) return
      if (type === 'DELETED') this.#forget(asDefinition(object))
      else this.#follow(asDefinition(object))
    })
  }

  [Symbol.dispose](): void {
    this.#subscription[Symbol.dispose]()
    this.#cleanup[Symbol.dispose]()
  }

  /** True when the server serves the kind of this definition by itself. */
  isNative(name: string): boolean {
    return this.#native.has(name)
  }

  #admit(given: CustomResourceDefinition, context: AdmissionContext): CustomResourceDefinition {
    const { nowMs, operation, subresource } = context
    const warn = (text: string): void => context.warn(text)
    const old = context.old && asDefinition(context.old)
    if (subresource === 'status') {
      const stored = given.status?.storedVersions ?? []
      const causes = stored
        .map((name, i) => [name, i] as const)
        .filter(([name]) => !given.spec.versions.some((version) => version.name === name))
        .map(([name, i]) =>
          wrong(`status.storedVersions[${i}]`, name, 'must appear in spec.versions'),
        )
      const storage = given.spec.versions.find((version) => version.storage)?.name ?? ''
      if (!stored.includes(storage))
        causes.push(
          wrong('status.storedVersions', stored, `must have the storage version ${storage}`),
        )
      if (causes.length > 0) throw invalid(CustomResourceDefinition, given.metadata.name, causes)
      return given
    }
    const definition = withDefaults(given)
    const isSame = old !== undefined && equal(old.spec, definition.spec)
    if (!isSame) this.#refuse(definition, old, warn)
    if (operation === 'CREATE' && this.#served.size >= maxDefinitions)
      throw invalid(CustomResourceDefinition, given.metadata.name, [
        wrong(
          'metadata.name',
          given.metadata.name,
          `there are ${maxDefinitions} definitions already, which is as many as there may be`,
        ),
      ])
    const finished = withStatus(definition, this.#taken(definition), nowMs)
    // Whoever replaces the definition need not know of the finalizer that keeps its objects from being left behind.
    const { deletionTimestamp, name } = finished.metadata
    return deletionTimestamp === undefined && !this.isNative(name)
      ? withFinalizer(finished)
      : finished
  }

  #refuse(
    definition: CustomResourceDefinition,
    old: CustomResourceDefinition | undefined,
    warn: (text: string) => void,
  ): void {
    const causes: FieldCause[] = [...definitionProblems(definition, old)]
    const sound: (readonly [string, unknown])[] = []
    for (const [i, { schema }] of (definition.spec.versions ?? []).entries()) {
      const field = `spec.versions[${i}].schema.openAPIV3Schema`
      const given: unknown = schema?.openAPIV3Schema
      if (given === undefined) continue
      const found = schemaProblems(given, field, warn)
      causes.push(...found)
      if (found.length === 0) sound.push([field, given])
    }
    const oldSchemas =
      old?.spec.versions.map(({ schema }): unknown => schema?.openAPIV3Schema) ?? []
    for (const [field, given] of sound) {
      if (oldSchemas.some((each) => equal(each, given))) continue
      causes.push(...compileProblems(cleanSchema(given), field, warn))
    }
    if (causes.length > 0) throw invalid(CustomResourceDefinition, definition.metadata.name, causes)
  }

  /** The names that other kinds of the group have. */
  #taken({ metadata, spec: { group } }: CustomResourceDefinition): TakenNames {
    const resources = new Set<string>()
    const kinds = new Set<string>()
    const take = (names: {
      readonly plural?: string
      readonly singular?: string
      readonly kind?: string
      readonly listKind?: string
      readonly shortNames?: readonly string[]
    }) => {
      for (const each of [names.plural, names.singular, ...(names.shortNames ?? [])])
        if (each) resources.add(each)
      for (const each of [names.kind, names.listKind]) if (each) kinds.add(each)
    }
    for (const [name, kind] of this.#native)
      if (kind.group === group && name !== metadata.name)
        take({ ...namesOf(kind), listKind: `${kind.kind}List` })
    for (const name of this.#groups.get(group) ?? []) {
      if (name === metadata.name) continue
      const names = this.#served.get(name)?.definition.status?.acceptedNames
      if (names) take(names)
    }
    return { resources, kinds }
  }

  #follow(definition: CustomResourceDefinition): void {
    const { name, generation, uid } = definition.metadata
    const known = this.#served.get(name)
    const established = definitionCondition(definition, 'Established')?.status === 'True'
    const isSame =
      known !== undefined &&
      known.definition.metadata.uid === uid &&
      known.definition.metadata.generation === generation &&
      (known.kind !== undefined || this.isNative(name)) === established
    if (isSame) this.#served.set(name, { definition, kind: known.kind })
    else {
      if (known?.kind) this.#machinery.registry.remove(known.kind)
      const kind = established && !this.isNative(name) ? this.#serve(definition) : undefined
      this.#served.set(name, { definition, kind })
      const group = this.#groups.get(definition.spec.group) ?? new Set()
      this.#groups.set(definition.spec.group, group.add(name))
    }
    const { kind } = this.#served.get(name) ?? {}
    if (definition.metadata.deletionTimestamp !== undefined) this.#cleanup.begin(definition, kind)
  }

  #serve(definition: CustomResourceDefinition): KindDefinition | undefined {
    const { name } = definition.metadata
    try {
      const kind = customKind(definition, {
        converter: converterOf(definition, this.#webhooks),
        isTerminating: () =>
          this.#served.get(name)?.definition.metadata.deletionTimestamp !== undefined,
      })
      this.#machinery.registry.add(kind)
      return kind
    } catch (error) {
      // Stored by an older version of this server, which took what this one does not.
      this.#machinery.log.error('a custom resource definition cannot be served', { name, error })
      return undefined
    }
  }

  #forget(definition: CustomResourceDefinition): void {
    const { name } = definition.metadata
    const known = this.#served.get(name)
    if (known?.kind) this.#machinery.registry.remove(known.kind)
    this.#served.delete(name)
    const group = this.#groups.get(definition.spec.group)
    group?.delete(name)
    if (group?.size === 0) this.#groups.delete(definition.spec.group)
    this.#cleanup.end(name)
    // Names that were in use may be free now.
    for (const other of group ?? []) queueMicrotask(() => this.#tryAgain(other))
  }

  #tryAgain(name: string): void {
    const { store, clock, log } = this.#machinery
    const definition = this.#served.get(name)?.definition
    if (!definition || definitionCondition(definition, 'NamesAccepted')?.status === 'True') return
    const next = withStatus(definition, this.#taken(definition), clock.now())
    if (equal(next.status, definition.status)) return
    try {
      const key = storeKey(CustomResourceDefinition, { namespace: '', name })
      const write = store.put(key, next, Number(definition.metadata.resourceVersion))
      write.durable.catch((error: unknown) => log.error('a write is not durable', { name, error }))
    } catch (error) {
      log.info('the status of a definition was not written', { name, error })
    }
  }
}

const namesOf = ({ plural, singular, kind, shortNames = [] }: KindDefinition) => ({
  plural,
  singular,
  kind,
  shortNames,
})

/** What lies under the definitions' key is of their type: it was checked when it was written. */
export const asDefinition = (object: KubeObject): CustomResourceDefinition =>
  object as CustomResourceDefinition

function withFinalizer(definition: CustomResourceDefinition): CustomResourceDefinition {
  const { metadata } = definition
  const { finalizers = [] } = metadata
  if (finalizers.includes(cleanupFinalizer)) return definition
  return { ...definition, metadata: { ...metadata, finalizers: [...finalizers, cleanupFinalizer] } }
}
