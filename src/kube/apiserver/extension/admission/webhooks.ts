/**
 * Calls of admission webhooks: mutating ones one after another, in the order of their configurations' names, and once
 * more where they wish so and the object changed; validating ones at the same time (apiserver `admission/plugin/webhook`).
 */
import type { KubeObject } from '../../../api/meta.ts'
import type { MutatingWebhook, ValidatingWebhook } from '../../../api/webhook-configurations.ts'
import { StatusError } from '../../../api/status-error.ts'
import { untilAnswered } from '../../verbs/awaiting.ts'
import { readApplied } from '../../verbs/body.ts'
import { jsonPatch } from '../../verbs/json-patch.ts'
import { present } from '../../machinery.ts'
import { equal, isRecord, open } from '../../values.ts'
import { CelFailure, loadCel } from '../cel/engine.ts'
import { WebhookFailure, type WebhookCaller } from '../webhook-caller.ts'
import { conditionsHold, conditionValues } from './conditions.ts'
import { deniedBy, failedCalling } from './denied.ts'
import { isSelected, matchedVersion, selectorsOf, type Selectors, type Write } from './matching.ts'
import { isReviewVersion, readAnswer, reviewRequest, type Answer } from './review.ts'

/** A webhook with what is asked of each write made ready. */
export interface Hook {
  /** Of its configuration. */
  readonly configuration: string
  readonly webhook: MutatingWebhook | ValidatingWebhook
  readonly selectors: Selectors
  readonly mutates: boolean
}

/** What webhooks have said besides yes or no. */
export interface Remarks {
  readonly warnings: string[]
  readonly auditAnnotations: Map<string, string>
}

/** The platform's own writes do not wait longer than this, whatever a configuration says. */
const ownTimeoutMs = 5_000

export const hookOf = (
  configuration: string,
  webhook: MutatingWebhook | ValidatingWebhook,
  mutates: boolean,
): Hook => ({ configuration, webhook, mutates, selectors: selectorsOf(webhook) })

/** The hooks that want to hear of a write, by rules and selectors; conditions are asked when their turn comes. */
export const hooksFor = (hooks: readonly Hook[], write: Write): readonly Hook[] =>
  hooks.filter(
    ({ webhook, selectors }) =>
      matchedVersion(webhook.rules ?? [], write, webhook.matchPolicy) !== undefined &&
      isSelected(selectors, write),
  )

/** The object as the webhooks leave it. Throws StatusError when one refuses, or fails that may not. */
export async function mutated(
  hooks: readonly Hook[],
  write: Write,
  webhooks: WebhookCaller,
  remarks: Remarks,
): Promise<KubeObject | undefined> {
  let { object } = write
  /** What each saw last, to know who should see what came after. */
  const seen = new Map<Hook, KubeObject | undefined>()
  for (const hook of hooks) {
    object = await mutatedBy(hook, { ...write, object }, webhooks, remarks)
    seen.set(hook, object)
  }
  for (const hook of hooks) {
    const again =
      'reinvocationPolicy' in hook.webhook && hook.webhook.reinvocationPolicy === 'IfNeeded'
    if (!again || equal(seen.get(hook), object)) continue
    object = await mutatedBy(hook, { ...write, object }, webhooks, remarks)
  }
  return object
}

async function mutatedBy(
  hook: Hook,
  write: Write,
  webhooks: WebhookCaller,
  remarks: Remarks,
): Promise<KubeObject | undefined> {
  // An earlier webhook may have changed the labels.
  if (!isSelected(hook.selectors, write)) return write.object
  const asked = await ask(hook, write, webhooks, remarks)
  if (!asked?.answer.patch || !write.object) return write.object
  const { object, target } = write
  const { patch } = asked.answer
  return untilAnswered(() => {
    const served = target.machinery.registry.find(
      target.kind.group,
      asked.version,
      target.kind.plural,
    )
    const shown = present(served ?? target, object)
    let patched: unknown
    try {
      patched = jsonPatch({ ...shown }, patch)
    } catch (thrown) {
      const why = thrown instanceof Error ? thrown.message : String(thrown)
      throw new StatusError('InternalError', `Internal error occurred: ${why}`)
    }
    if (!isRecord(patched))
      throw new StatusError(
        'InternalError',
        'Internal error occurred: the patched object is no object',
      )
    const read = readApplied(served ? { ...target, ...served } : target, patched)
    return kept(read, object)
  })
}

/** What a webhook cannot change: who the object is. */
function kept(next: KubeObject, { metadata }: KubeObject): KubeObject {
  const { name, namespace, uid, resourceVersion, creationTimestamp, generation } = metadata
  const identity = { namespace, uid, resourceVersion, creationTimestamp, generation }
  const defined = Object.fromEntries(
    Object.entries(identity).filter(([, value]) => value !== undefined),
  )
  return { ...open(next), metadata: { ...next.metadata, name, ...defined } }
}

/** Throws the first refusal, in the order of the hooks. */
export async function validated(
  hooks: readonly Hook[],
  write: Write,
  webhooks: WebhookCaller,
  remarks: Remarks,
): Promise<void> {
  const results = await Promise.allSettled(hooks.map((hook) => ask(hook, write, webhooks, remarks)))
  for (const result of results) if (result.status === 'rejected') throw result.reason
}

/** The answer of one webhook that allows the write; undefined when it was not asked, or failed and may. */
async function ask(
  hook: Hook,
  write: Write,
  webhooks: WebhookCaller,
  remarks: Remarks,
): Promise<{ readonly answer: Answer; readonly version: string } | undefined> {
  const { webhook, mutates } = hook
  const version = matchedVersion(webhook.rules ?? [], write, webhook.matchPolicy)
  if (version === undefined) return undefined
  const mayFail = webhook.failurePolicy === 'Ignore'
  const log = write.target.machinery.log
  try {
    if (webhook.matchConditions?.length) {
      await loadCel()
      const wants = await untilAnswered(() =>
        conditionsHold(webhook.matchConditions, conditionValues(write, version)),
      )
      if (!wants) return undefined
    }
  } catch (thrown) {
    if (!(thrown instanceof CelFailure)) throw thrown
    if (mayFail) return undefined
    throw new StatusError(
      'Forbidden',
      `failed to evaluate match conditions of webhook ${JSON.stringify(webhook.name)}: ${thrown.message}`,
    )
  }
  let answer: Answer
  try {
    answer = await call(hook, write, version, webhooks)
  } catch (thrown) {
    if (!(thrown instanceof WebhookFailure)) throw thrown
    if (!mayFail) throw failedCalling(webhook.name, thrown.message)
    log.info('a webhook failed, and may', { webhook: webhook.name, error: thrown.message })
    return undefined
  }
  for (const warning of answer.warnings) remarks.warnings.push(warning)
  for (const [key, value] of Object.entries(answer.auditAnnotations))
    remarks.auditAnnotations.set(`${webhook.name}/${key}`, value)
  if (!answer.allowed) throw deniedBy(webhook.name, answer)
  return mutates ? { answer, version } : undefined
}

async function call(
  { webhook, mutates }: Hook,
  write: Write,
  version: string,
  webhooks: WebhookCaller,
): Promise<Answer> {
  const uid = webhooks.uid()
  const seconds = webhook.timeoutSeconds ?? 10
  const { durable } = write.target.request
  const timeoutMs = durable ? seconds * 1000 : Math.min(seconds * 1000, ownTimeoutMs)
  const request = await untilAnswered(() => reviewRequest(write, version))
  const review = webhook.admissionReviewVersions.find(isReviewVersion) ?? 'v1'
  const body = await webhooks.post(webhook.clientConfig, {
    timeoutMs,
    userAgent: 'kube-apiserver-admission',
    query: `timeout=${seconds}s`,
    body: {
      kind: 'AdmissionReview',
      apiVersion: `admission.k8s.io/${review}`,
      request: { uid, ...request },
    },
  })
  return readAnswer(body, uid, mutates, review)
}
