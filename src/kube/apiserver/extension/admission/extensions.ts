/**
 * Everyone who is asked about a write: mutating webhooks, policies, validating webhooks. Follows the configurations in
 * the store; without any, a write costs one comparison.
 */
import type {
  ValidatingAdmissionPolicy,
  ValidatingAdmissionPolicyBinding,
} from '../../../api/admission-policies.ts'
import {
  ValidatingAdmissionPolicy as PolicyKind,
  ValidatingAdmissionPolicyBinding as BindingKind,
} from '../../../api/admission-policies.ts'
import type { KindDefinition } from '../../../api/kind.ts'
import type { KubeObject } from '../../../api/meta.ts'
import { refuseInvalid, type Complaints } from '../../../api/validation.ts'
import {
  MutatingWebhookConfiguration,
  ValidatingWebhookConfiguration,
} from '../../../api/webhook-configurations.ts'
import { Awaiting } from '../../verbs/awaiting.ts'
import type { AdmissionPlugin, Machinery, Target } from '../../machinery.ts'
import { storePrefix } from '../../registry.ts'
import { without } from '../../values.ts'
import type { Operation } from '../extensions.ts'
import type { WebhookCaller } from '../webhook-caller.ts'
import { conditionProblems, conditionVariables, expressionProblems } from './conditions.ts'
import { isExempt, type Write } from './matching.ts'
import { checkPolicies, policiesOf, policyVariables, type Policy } from './policies.ts'
import { hookOf, hooksFor, mutated, validated, type Hook, type Remarks } from './webhooks.ts'

/** What one request has been told so far, by what it was asked about. */
export interface AdmissionMemory {
  readonly mutated: Map<string, Outcome>
  readonly validated: Map<string, Outcome>
  /** What plugins with effects outside have made. */
  readonly plugged: Map<string, KubeObject>
}

interface Outcome extends Remarks {
  readonly object?: KubeObject | undefined
}

interface Configurations {
  readonly mutating: readonly Hook[]
  readonly validating: readonly Hook[]
  readonly policies: readonly Policy[]
}

const kinds: readonly KindDefinition[] = [
  MutatingWebhookConfiguration,
  ValidatingWebhookConfiguration,
  PolicyKind,
  BindingKind,
].map((kind) => kind as unknown as KindDefinition)
const prefixes = kinds.map((kind) => storePrefix(kind))

export class AdmissionExtensions implements Disposable {
  readonly plugins: readonly AdmissionPlugin[]
  readonly #store: Machinery['store']
  readonly #webhooks: WebhookCaller
  readonly #subscription: Disposable
  /** Undefined after a change, until it is asked for. */
  #configurations: Configurations | undefined

  constructor({ store }: Machinery, webhooks: WebhookCaller) {
    this.#store = store
    this.#webhooks = webhooks
    this.#subscription = store.subscribe(({ key }) => {
      if (prefixes.some((prefix) => key.startsWith(prefix))) this.#configurations = undefined
    })
    this.plugins = [
      plugin(MutatingWebhookConfiguration, hookProblems),
      plugin(ValidatingWebhookConfiguration, hookProblems),
      plugin(PolicyKind, policyProblems),
    ]
  }

  [Symbol.dispose](): void {
    this.#subscription[Symbol.dispose]()
  }

  /** True when anyone is asked about anything: then verbs may run more than once. */
  get isAsking(): boolean {
    const { mutating, validating, policies } = this.#current
    return mutating.length + validating.length + policies.length > 0
  }

  get #current(): Configurations {
    return (this.#configurations ??= {
      mutating: this.#hooks(MutatingWebhookConfiguration, true),
      validating: this.#hooks(ValidatingWebhookConfiguration, false),
      policies: policiesOf(
        this.#list<ValidatingAdmissionPolicy>(PolicyKind),
        this.#list<ValidatingAdmissionPolicyBinding>(BindingKind),
      ),
    })
  }

  /** In the order of the names, which is the store's. */
  #hooks(
    kind: { readonly group: string; readonly plural: string },
    mutates: boolean,
  ): readonly Hook[] {
    return this.#list<MutatingWebhookConfiguration>(kind).flatMap(({ metadata, webhooks = [] }) =>
      webhooks.map((webhook) => hookOf(metadata.name, webhook, mutates)),
    )
  }

  /** What lies under a kind's key is of its type: admission has checked it. */
  #list<T extends KubeObject>(kind: {
    readonly group: string
    readonly plural: string
  }): readonly T[] {
    return this.#store.list(storePrefix(kind)).items as readonly T[]
  }

  /** `defaulted`: the object with its kind's defaults, or undefined as long as it is not valid. */
  mutate(
    target: Target,
    operation: Operation,
    object: KubeObject,
    old: KubeObject | undefined,
    defaulted: () => KubeObject | undefined,
  ): KubeObject {
    const { mutating } = this.#current
    if (mutating.length === 0 || target.subresource === 'scale') return object
    const write: Write = { target, operation, object, old }
    if (isExempt(write)) return object
    const hooks = hooksFor(mutating, write)
    if (hooks.length === 0) return object
    const { mutated: known } = memoryOf(target)
    const key = keyOf(write)
    const outcome = known.get(key)
    if (!outcome) {
      const shown: Write = { ...write, object: defaulted() ?? object }
      throw new Awaiting(async () => {
        const remarks = newRemarks()
        const changed = await mutated(hooks, shown, this.#webhooks, remarks)
        known.set(key, { ...remarks, ...(changed !== shown.object && { object: changed }) })
      })
    }
    remark(target, outcome)
    if (!outcome.object) return object
    const { uid, creationTimestamp } = object.metadata
    return {
      ...outcome.object,
      metadata: {
        ...outcome.object.metadata,
        ...(uid !== undefined && { uid }),
        ...(creationTimestamp !== undefined && { creationTimestamp }),
      },
    }
  }

  once(write: Write, make: () => KubeObject): KubeObject {
    const { plugged } = memoryOf(write.target)
    const key = keyOf(write)
    const known = plugged.get(key) ?? make()
    plugged.set(key, known)
    const { creationTimestamp } = write.object?.metadata ?? {}
    if (known.metadata.creationTimestamp === creationTimestamp || creationTimestamp === undefined)
      return known
    return { ...known, metadata: { ...known.metadata, creationTimestamp } }
  }

  validate(
    target: Target,
    operation: Operation,
    object: KubeObject | undefined,
    old?: KubeObject,
  ): void {
    const { mutating, validating, policies } = this.#current
    // Those that mutate are asked about deletions and connections too.
    const all =
      operation === 'DELETE' || operation === 'CONNECT' ? [...mutating, ...validating] : validating
    if (all.length + policies.length === 0) return
    const write: Write = { target, operation, object, old }
    if (isExempt(write)) return
    if (policies.length > 0) {
      const remarks = newRemarks()
      try {
        checkPolicies(policies, write, remarks)
      } finally {
        remark(target, remarks)
      }
    }
    const hooks = hooksFor(all, write)
    if (hooks.length === 0) return
    const { validated: known } = memoryOf(target)
    const key = keyOf(write)
    const outcome = known.get(key)
    if (!outcome)
      throw new Awaiting(async () => {
        const remarks = newRemarks()
        await validated(hooks, write, this.#webhooks, remarks)
        known.set(key, remarks)
      })
    remark(target, outcome)
  }
}

const newRemarks = (): Remarks => ({ warnings: [], auditAnnotations: new Map() })

function memoryOf({ memory }: Target): AdmissionMemory {
  return (memory.admission ??= { mutated: new Map(), validated: new Map(), plugged: new Map() })
}

function remark({ warn, request }: Target, { warnings, auditAnnotations }: Remarks): void {
  for (const warning of warnings) warn(warning)
  if (request.annotate) for (const [key, value] of auditAnnotations) request.annotate(key, value)
}

/** The same write has the same text, in whichever run of the verb. */
function keyOf({ operation, object, old, target }: Write): string {
  const stable = object && {
    ...object,
    metadata: without(object.metadata, 'creationTimestamp', 'managedFields'),
  }
  const { uid, resourceVersion } = old?.metadata ?? {}
  return JSON.stringify([operation, target.subresource, stable, uid, resourceVersion])
}

function plugin<T extends KubeObject>(
  kind: KindDefinition<T>,
  problems: (object: T) => Complaints,
): AdmissionPlugin {
  return {
    kind,
    admit(object, { subresource }) {
      // The plugin is registered for this kind alone.
      if (subresource === '') refuseInvalid(kind, object, problems(object as T))
      return object
    },
  }
}

function* hookProblems({
  webhooks = [],
}: MutatingWebhookConfiguration | ValidatingWebhookConfiguration): Complaints {
  for (const [i, { matchConditions }] of webhooks.entries())
    yield* conditionProblems(`webhooks[${i}].matchConditions`, matchConditions)
}

function* policyProblems({ spec }: ValidatingAdmissionPolicy): Complaints {
  const { variables = [], validations = [], auditAnnotations = [], matchConditions } = spec
  yield* conditionProblems('spec.matchConditions', matchConditions, conditionVariables)
  for (const [i, { expression }] of variables.entries())
    yield* expressionProblems(`spec.variables[${i}].expression`, expression, policyVariables, 'any')
  for (const [i, { expression, messageExpression }] of validations.entries()) {
    const at = `spec.validations[${i}]`
    yield* expressionProblems(`${at}.expression`, expression, policyVariables, 'bool')
    yield* expressionProblems(
      `${at}.messageExpression`,
      messageExpression,
      policyVariables,
      'string',
    )
  }
  for (const [i, { valueExpression }] of auditAnnotations.entries())
    yield* expressionProblems(
      `spec.auditAnnotations[${i}].valueExpression`,
      valueExpression,
      policyVariables,
      'string',
    )
}
