/** A change of an object as a CloudEvent (knative.dev/eventing `pkg/adapter/apiserver/events`). Pure. */
import type { Event as CoreEvent } from '../../../kube/api/event.ts'
import { controllerOf, type KubeObject } from '../../../kube/api/meta.ts'
import { kubernetesEventType } from '../../api/former/former-sources.ts'
import type { CloudEvent } from '../../cloudevents/cloud-event.ts'
import type { ChangeType, Resource } from './follow.ts'

export interface ChangeEventOptions {
  readonly mode: string
  /** URL of the API. */
  readonly source: string
  readonly id: string
  readonly nowMs: number
  /** Attributes that are set over the others. */
  readonly overrides: Readonly<Record<string, string>>
}

export function changeEvent(
  type: ChangeType,
  object: KubeObject,
  { plural }: Resource,
  { mode, source, id, nowMs, overrides }: ChangeEventOptions,
): CloudEvent {
  const { apiVersion, kind, metadata } = object
  const { namespace = '', name } = metadata
  const whole = mode === 'Resource'
  const reference = { kind, ...(namespace && { namespace }), name, apiVersion }
  return {
    attributes: {
      specversion: '1.0',
      id,
      type: `dev.knative.apiserver.${whole ? 'resource' : 'ref'}.${type}`,
      source,
      subject: `/apis/${apiVersion}/namespaces/${namespace}/${plural}/${name}`,
      time: new Date(nowMs).toISOString(),
      datacontenttype: 'application/json',
      kind,
      apiversion: apiVersion,
      name,
      ...(namespace && { namespace }),
      ...overrides,
    },
    data: Buffer.from(JSON.stringify(whole ? object : reference)),
  }
}

/** What a KubernetesEventSource of 2018 sends: the Event as it is, from the object that it is about; undefined = nothing. */
export function kubernetesEvent(
  type: ChangeType,
  event: KubeObject,
  { id, nowMs, overrides }: Pick<ChangeEventOptions, 'id' | 'nowMs' | 'overrides'>,
): CloudEvent | undefined {
  if (type === 'delete') return undefined
  const { involvedObject } = event as Partial<CoreEvent>
  const { apiVersion = '', namespace = '', kind = '', name = '' } = involvedObject ?? {}
  // A group without its version is a name with a dot.
  const version = /^[^/]*\.[^/]*$/.test(apiVersion) ? `${apiVersion}/versionUnknown` : apiVersion
  return {
    attributes: {
      specversion: '1.0',
      id,
      type: kubernetesEventType,
      source: `/apis/${version}/namespaces/${namespace}/${kind.toLowerCase()}s/${name}`,
      time: new Date(nowMs).toISOString(),
      datacontenttype: 'application/json',
      ...overrides,
    },
    data: Buffer.from(JSON.stringify(event)),
  }
}

/** Whether its controller is of this kind; without a wanted one, any object is. */
export function isOwnedBy(
  object: KubeObject,
  owner: { readonly apiVersion?: string; readonly kind?: string } | undefined,
): boolean {
  if (!owner) return true
  const controller = controllerOf(object)
  return (
    controller !== undefined &&
    controller.kind === owner.kind &&
    controller.apiVersion === owner.apiVersion
  )
}

/** The controller of an object in its place, for sources of 2019 that ask for it; undefined = it has none. */
export function controllerInstead(object: KubeObject): KubeObject | undefined {
  const controller = controllerOf(object)
  if (!controller) return undefined
  const { apiVersion, kind, name } = controller
  const { namespace } = object.metadata
  return { apiVersion, kind, metadata: { name, ...(namespace !== undefined && { namespace }) } }
}

/** Kubernetes' guess of a plural, which is what Knative goes by (apimachinery `UnsafeGuessKindToResource`). */
export function guessedPlural(kind: string): string {
  const singular = kind.trim().toLowerCase()
  if (singular.endsWith('endpoints')) return singular
  if (singular.endsWith('s')) return `${singular}es`
  if (singular.endsWith('y')) return `${singular.slice(0, -1)}ies`
  return `${singular}s`
}
