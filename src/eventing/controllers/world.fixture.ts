/** The controllers of Eventing in memory and in simulated time, with an engine that takes everything: for tests. */
import assert from 'node:assert/strict'
import { Event } from '../../kube/api/event.ts'
import { coreKinds } from '../../kube/api/kinds.ts'
import { servedVersionsOf, type Kind, type KindDefinition } from '../../kube/api/kind.ts'
import type { KubeObject } from '../../kube/api/meta.ts'
import { Namespace } from '../../kube/api/namespace.ts'
import type { Api } from '../../kube/api/protocol.ts'
import { typedClient } from '../../kube/client/typed-client.ts'
import type { Reader } from '../../kube/controller/reconciler.ts'
import { conditionOf, type ConditionedObject } from '../../knative/conditions.ts'
import type { Fields } from '../../knative/old-form.ts'
import { servingKinds } from '../../serving/api/kinds.ts'
import { inMemoryPlatform } from '../../testing/platform.ts'
import { SimClock } from '../../testing/sim-clock.ts'
import { eventingConfigAdmission } from '../api/config/config-maps.ts'
import { subscriberWriter } from '../api/messaging/in-memory-channel.ts'
import { eventingKinds } from '../api/kinds.ts'
import { startReconcilers } from './controllers.ts'
import type { EngineLink } from './engine/engine-link.ts'
import { installEventing } from './install.ts'

export const kinds = [...coreKinds, ...servingKinds, ...eventingKinds]

/** Has taken whatever there is. */
export const willing: EngineLink = {
  address: { host: '127.0.0.1', port: 1 },
  serves: () => true,
  problemOf: () => undefined,
  changed() {},
  onServed: () => ({ [Symbol.dispose]() {} }),
  async [Symbol.asyncDispose]() {},
}

export async function start(link: EngineLink = willing) {
  const clock = new SimClock()
  const platform = inMemoryPlatform({ kinds, clock, admission: [eventingConfigAdmission] })
  const { client, api } = platform
  const inDefault = { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'default' } }
  await client.create(Namespace, inDefault).catch(() => {})
  await installEventing(client)
  const asController = typedClient(api, {
    user: { username: subscriberWriter, groups: ['system:masters'] },
    durable: false,
  })
  const controllers = startReconcilers(link, { ...platform, client: asController })
  const reader: Reader = platform.informers.reader()
  const key = (name: string) => ({ namespace: 'default', name })
  const ready = async (kind: Kind<ConditionedObject>, name: string) =>
    conditionOf((await client.get(kind, key(name))).status, 'Ready')
  return {
    client,
    read: reader,
    key,
    ready,
    create: (object: object) => create(api, object),
    get: (kind: KindDefinition, version: string, name: string) => read(api, kind, version, name),
    /** Events about objects of this name. */
    eventsOf: async (name: string) =>
      (await client.list(Event, 'default')).items.filter(
        ({ involvedObject }) => involvedObject.name === name,
      ),
    settle: () => clock.advance(2_000),
    isReady: async (kind: Kind<ConditionedObject>, name: string) =>
      assert.deepEqual((await ready(kind, name))?.status, 'True', `${kind.kind} ${name}`),
    async [Symbol.asyncDispose]() {
      await controllers[Symbol.asyncDispose]()
      await platform[Symbol.asyncDispose]()
    },
  }
}

const request = {
  user: { username: 'somebody', groups: ['system:masters'] },
  // As kubectl asks.
  options: { fieldValidation: 'Strict' as const },
  durable: false,
}

/** As `kubectl create` of an object in the version it is written in; answers it, and what was warned of. */
async function create(api: Api, sent: object) {
  const object = sent as KubeObject
  const [version = '', group = ''] = object.apiVersion.split('/').reverse()
  const kind = kinds.find((each) => each.group === group && each.kind === object.kind)
  assert.ok(kind, `there is no kind ${object.kind} of ${group}`)
  assert.ok(servedVersionsOf(kind).includes(version), `${kind.kind}: ${version} is not served`)
  const namespace = object.metadata.namespace ?? 'default'
  const response = await api.handle({
    ...request,
    verb: 'create',
    group,
    version,
    resource: kind.plural,
    ...(kind.namespaced && { namespace }),
    body: object,
  })
  return { object: response.body as Stored, warnings: response.warnings ?? [] }
}

async function read(api: Api, { group, plural }: KindDefinition, version: string, name: string) {
  const asked = { ...request, verb: 'get' as const, group, version, resource: plural, name }
  return (await api.handle({ ...asked, namespace: 'default' })).body as Stored
}

export interface Stored extends KubeObject {
  readonly spec: Fields
  readonly status?: Fields
}

export const broker = (name: string, more: object = {}) => ({
  apiVersion: 'eventing.knative.dev/v1',
  kind: 'Broker',
  metadata: { name },
  ...more,
})

export const service = (name: string) => ({
  apiVersion: 'v1',
  kind: 'Service',
  metadata: { name },
  spec: { selector: { app: name }, ports: [{ port: 80 }] },
})
export const toService = (name: string) => ({ ref: { apiVersion: 'v1', kind: 'Service', name } })
