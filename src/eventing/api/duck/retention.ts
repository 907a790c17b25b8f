/**
 * How long a Broker or Channel keeps events that every subscriber is done with, for replays: annotations of our own, as
 * Knative leaves this to the backbone. What a subscriber is not done with stays in any case.
 */
import { invalidValue, type FieldError } from '../../../knative/field-error.ts'
import type { ObjectMeta } from '../../../kube/api/meta.ts'
import { quantityProblem, quantityValue } from '../../../kube/api/quantity.ts'
import { parseIsoDuration } from '../../../lib/iso-duration.ts'

/** An ISO 8601 duration, as all of a DeliverySpec: `PT24H`, `P30D`. */
const timeKey = 'ebb.dev/retention-time'
/** A quantity of bytes: `500Mi`. */
const sizeKey = 'ebb.dev/retention-size'

export interface Retention {
  readonly maxAgeMs?: number
  readonly maxBytes?: number
}

/** What the object says; what can't be read was refused and says nothing. */
export function retentionOf({ annotations = {} }: ObjectMeta): Retention {
  const { [timeKey]: time, [sizeKey]: size } = annotations
  const maxAgeMs = time === undefined ? undefined : parseIsoDuration(time)
  const maxBytes =
    size === undefined || quantityProblem(size) !== undefined ? undefined : quantityValue(size)
  return {
    ...(maxAgeMs !== undefined && { maxAgeMs }),
    ...(maxBytes !== undefined && { maxBytes }),
  }
}

const isRetention = ([key]: readonly [string, string]): boolean =>
  key === timeKey || key === sizeKey

/** Annotations of the channel that is made for a Channel, which says how long it keeps its events. */
export const handedOn = (
  annotations: Readonly<Record<string, string>>,
  { annotations: own = {} }: ObjectMeta,
): Readonly<Record<string, string>> =>
  Object.fromEntries([
    ...Object.entries(annotations).filter((each) => !isRetention(each)),
    ...Object.entries(own).filter(isRetention),
  ])

export function* validateRetention({ annotations = {} }: ObjectMeta): Generator<FieldError> {
  const { [timeKey]: time, [sizeKey]: size } = annotations
  if (time !== undefined && parseIsoDuration(time) === undefined)
    yield invalidValue(
      time,
      `metadata.annotations[${timeKey}]`,
      'expected an ISO 8601 duration, as PT24H or P30D',
    )
  if (size !== undefined && (quantityProblem(size) !== undefined || quantityValue(size) < 0))
    yield invalidValue(
      size,
      `metadata.annotations[${sizeKey}]`,
      'expected a quantity of bytes, as 500Mi or 2Gi',
    )
}
