/**
 * From one version of a custom kind to another: by its `apiVersion` alone, or by asking the definition's webhook
 * (apiextensions `conversion`; ConversionReview v1). Answers are kept for a while, because a verb that needs one is run
 * again when it is there (`awaiting.ts`).
 */
import type { CustomResourceDefinition } from '../../api/custom-resource-definition.ts'
import { groupKind } from '../../api/kind.ts'
import type { KubeObject } from '../../api/meta.ts'
import { StatusError } from '../../api/status-error.ts'
import { Awaiting } from '../verbs/awaiting.ts'
import { fieldsOf, isRecord } from '../values.ts'
import { isReviewVersion } from './admission/review.ts'
import type { Converter } from './custom-kind.ts'
import type { WebhookCaller } from './webhook-caller.ts'

const maxKept = 256
const timeoutMs = 30_000
/** Objects in one review. */
const maxBatch = 500

export interface WebhookConverter extends Converter {
  readonly asks: true
  /** Many at a time; those that are of the version already stay as they are. */
  convertAll(objects: readonly KubeObject[], apiVersion: string): Promise<readonly KubeObject[]>
}

export function converterOf(
  { metadata, spec: { conversion, group, names } }: CustomResourceDefinition,
  webhooks: WebhookCaller,
): Converter | WebhookConverter {
  const webhook = conversion?.strategy === 'Webhook' ? conversion.webhook : undefined
  if (!webhook?.clientConfig)
    return { asks: false, convert: (object, apiVersion) => ({ ...object, apiVersion }) }
  const { clientConfig } = webhook
  const review = webhook.conversionReviewVersions?.find(isReviewVersion) ?? 'v1'
  const kept = new Map<string, KubeObject>()
  const kind = groupKind({ group, kind: names.kind })

  async function ask(
    objects: readonly KubeObject[],
    apiVersion: string,
  ): Promise<readonly KubeObject[]> {
    const uid = webhooks.uid()
    let answer: unknown
    try {
      answer = await webhooks.post(clientConfig, {
        timeoutMs,
        userAgent: 'kube-apiserver',
        body: {
          kind: 'ConversionReview',
          apiVersion: `apiextensions.k8s.io/${review}`,
          request: { uid, desiredAPIVersion: apiVersion, objects },
        },
      })
    } catch (thrown) {
      throw failed(thrown instanceof Error ? thrown.message : String(thrown))
    }
    const response = fieldsOf(fieldsOf(answer)['response'])
    const result = fieldsOf(response['result'])
    if (result['status'] !== 'Success')
      throw failed(
        typeof result['message'] === 'string' && result['message'] !== ''
          ? result['message']
          : 'the webhook did not answer with result.status "Success"',
      )
    if (response['uid'] !== uid)
      throw failed(
        `invalid response: expected uid ${JSON.stringify(uid)}, found ${JSON.stringify(response['uid'])}`,
      )
    const converted = response['convertedObjects']
    if (!Array.isArray(converted) || converted.length !== objects.length)
      throw failed(
        `invalid response: expected ${objects.length} converted objects, found ${Array.isArray(converted) ? converted.length : 'none'}`,
      )
    return objects.map((object, i) => checked(object, converted[i], apiVersion))
  }

  const failed = (why: string): StatusError =>
    new StatusError(
      'InternalError',
      `conversion webhook for ${group}/, Kind=${names.kind} failed: ${why}`,
      { name: metadata.name, kind },
    )

  /** A webhook may change labels and annotations, and of the rest of the metadata nothing. */
  function checked(object: KubeObject, converted: unknown, apiVersion: string): KubeObject {
    if (!isRecord(converted)) throw failed('invalid response: a converted object is not an object')
    if (converted['apiVersion'] !== apiVersion || converted['kind'] !== object.kind)
      throw failed(
        `invalid response: expected ${apiVersion}, Kind=${object.kind}, found ${String(converted['apiVersion'])}, Kind=${String(converted['kind'])}`,
      )
    const { labels, annotations, name, namespace, uid } = fieldsOf(converted['metadata'])
    const mustStay = { name, namespace, uid }
    for (const [field, value] of Object.entries(mustStay))
      if ((value ?? '') !== (object.metadata[field as keyof typeof mustStay] ?? ''))
        throw failed(`metadata.${field} must not be changed by the webhook`)
    const { labels: _l, annotations: _a, ...metadata } = object.metadata
    return {
      ...converted,
      apiVersion,
      kind: object.kind,
      metadata: {
        ...metadata,
        ...(isRecord(labels) && { labels: texts(labels) }),
        ...(isRecord(annotations) && { annotations: texts(annotations) }),
      },
    }
  }

  return {
    asks: true,
    convert(object, apiVersion) {
      if (object.apiVersion === apiVersion) return object
      const key = `${apiVersion} ${JSON.stringify(object)}`
      const known = kept.get(key)
      if (known) return known
      throw new Awaiting(async () => {
        const [converted] = await ask([object], apiVersion)
        if (!converted) return
        const oldest = kept.size >= maxKept ? kept.keys().next().value : undefined
        if (oldest !== undefined) kept.delete(oldest)
        kept.set(key, converted)
      })
    },
    async convertAll(objects, apiVersion) {
      const others = objects.filter((object) => object.apiVersion !== apiVersion)
      const answers = new Map<KubeObject, KubeObject>()
      for (let i = 0; i < others.length; i += maxBatch) {
        const batch = others.slice(i, i + maxBatch)
        const converted = await ask(batch, apiVersion)
        for (const [j, object] of batch.entries()) {
          const answer = converted[j]
          if (answer) answers.set(object, answer)
        }
      }
      return objects.map((object) => answers.get(object) ?? object)
    },
  }
}

const texts = (map: Readonly<Record<string, unknown>>): Record<string, string> =>
  Object.fromEntries(Object.entries(map).map(([key, value]) => [key, String(value)]))
