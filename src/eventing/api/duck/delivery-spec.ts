/** DeliverySpec: how often, how long and where to in the end (knative.dev/eventing duck/v1). */
import {
  disallowedFields,
  invalidValue,
  via,
  type FieldError,
} from '../../../knative/field-error.ts'
import { integer, object, string, type Static } from '../../../kube/api/schema.ts'
import { parseIsoDuration } from '../../../lib/iso-duration.ts'
import type { AdmissionContext } from '../../../kube/api/kind.ts'
import { refuseUnknown } from '../admission/decoding.ts'
import { featuresOf } from '../config/read.ts'
import { Destination, destinationIn, validateDestination } from './destination.ts'

export const DeliverySpec = object(
  {
    deadLetterSink: Destination,
    retry: integer({
      format: 'int32',
      description: 'How often to try again before the dead-letter sink.',
    }),
    timeout: string({ description: 'Of one attempt, ISO 8601: PT5S.' }),
    backoffPolicy: string({ description: 'linear or exponential.' }),
    backoffDelay: string({ description: 'Before a retry, ISO 8601: PT0.2S.' }),
    retryAfterMax: string({
      description: "Upper bound of what an answer's Retry-After asks for, ISO 8601.",
    }),
    format: string({ description: 'json or binary: how events are sent.' }),
  },
  {
    description: 'How events are delivered, and what becomes of those that are not.',
    // So that what is misspelled is there to be refused, whatever the client asks for.
    'x-kubernetes-preserve-unknown-fields': true,
  },
)
const fields = Object.keys(DeliverySpec.properties ?? {})
export type DeliverySpec = Static<typeof DeliverySpec>

/** Status fields about the dead-letter sink; spread into a status. */
export const deliveryStatusFields = {
  deadLetterSinkUri: string({ description: 'Where events go that can not be delivered.' }),
  deadLetterSinkCACerts: string(),
  deadLetterSinkAudience: string(),
}

/** Sinks of the own namespace are named without it. Throws the denial of a field that there is not. */
export function deliveryIn<D extends DeliverySpec | undefined>(delivery: D, namespace: string): D {
  if (!delivery) return delivery
  refuseUnknown(delivery, fields)
  return delivery.deadLetterSink
    ? { ...delivery, deadLetterSink: destinationIn(delivery.deadLetterSink, namespace) }
    : delivery
}

/** `context`: where config-features says whether timeout and retryAfterMax may be set. */
export function* validateDelivery(
  delivery: DeliverySpec,
  context: Pick<AdmissionContext, 'read'>,
): Generator<FieldError> {
  const { deliveryTimeout, deliveryRetryAfter } = featuresOf(context)
  const { deadLetterSink, retry, timeout, backoffPolicy, backoffDelay, retryAfterMax, format } =
    delivery
  if (deadLetterSink) yield* via('deadLetterSink', validateDestination(deadLetterSink, context))
  if (retry !== undefined && retry < 0) yield invalidValue(retry, 'retry')
  if (timeout !== undefined && !deliveryTimeout) yield disallowedFields('timeout')
  else if (timeout !== undefined && !((parseIsoDuration(timeout) ?? 0) > 0))
    yield invalidValue(timeout, 'timeout')
  if (backoffPolicy !== undefined && backoffPolicy !== 'linear' && backoffPolicy !== 'exponential')
    yield invalidValue(backoffPolicy, 'backoffPolicy')
  if (backoffDelay !== undefined && parseIsoDuration(backoffDelay) === undefined)
    yield invalidValue(backoffDelay, 'backoffDelay')
  if (retryAfterMax !== undefined && !deliveryRetryAfter) yield disallowedFields('retryAfterMax')
  else if (retryAfterMax !== undefined && parseIsoDuration(retryAfterMax) === undefined)
    yield invalidValue(retryAfterMax, 'retryAfterMax')
  if (format !== undefined && format !== 'json' && format !== 'binary')
    yield invalidValue(format, 'format')
}
