/**
 * Addresses of Services: ClusterIPs from 10.96.0.0/12 and node ports from 30000-32767. Who holds
 * what is derived from the stored Services and followed through the store; giving one out looks at one or two
 * candidates, however many are taken.
 */
import type { AdmissionContext } from '../api/kind.ts'
import { keyOf } from '../api/meta.ts'
import type { KubeObject } from '../api/meta.ts'
import { StatusError, invalid } from '../api/status-error.ts'
import type { Change, Store, StoreKey } from '../store/store.ts'
import type { AdmissionPlugin } from './machinery.ts'
import { storeKey, storePrefix } from './registry.ts'
import { fieldsOf, isRecord, open, without } from './values.ts'
import type { Fields } from './values.ts'

const serviceKind = { group: '', kind: 'Service', plural: 'services' }
const prefix = storePrefix(serviceKind)

const firstAddress = toNumber(10, 96, 0, 0)
const addressCount = 2 ** 20
/** The lowest addresses are for those who name theirs (`kubernetes` is the first, DNS the tenth). */
const namedAddressCount = 256
const firstNodePort = 30_000
const nodePortCount = 2768

export interface ServiceAddresses extends AdmissionPlugin, Disposable {}

/** Reads the stored Services, then follows every change. Dispose to stop following. */
export function serviceAddresses(store: Store): ServiceAddresses {
  const addresses = new Pool(store, ipsOf, namedAddressCount, addressCount - 1, (offset) =>
    toAddress(firstAddress + offset),
  )
  const nodePorts = new Pool(store, nodePortsOf, 0, nodePortCount, (offset) =>
    String(firstNodePort + offset),
  )
  for (const service of store.list(prefix).items) {
    const key = storeKey(serviceKind, keyOf(service))
    addresses.hold(key, service)
    nodePorts.hold(key, service)
  }
  const subscription = store.subscribe((change) => {
    if (!change.key.startsWith(prefix)) return
    addresses.follow(change)
    nodePorts.follow(change)
  })
  return {
    kind: serviceKind,
    admit: (object, context) => {
      const key = storeKey(serviceKind, keyOf(object))
      const service = withAddress(addresses, key, object, context)
      return withNodePorts(nodePorts, key, service, context)
    },
    [Symbol.dispose]: () => subscription[Symbol.dispose](),
  }
}

/** Things that one Service at a time may hold, by their text. */
class Pool {
  readonly #holders = new Map<string, StoreKey>()
  readonly #store: Store
  readonly #heldBy: (service: KubeObject) => readonly string[]
  readonly #first: number
  readonly #end: number
  readonly #text: (offset: number) => string
  #next: number

  constructor(
    store: Store,
    heldBy: (service: KubeObject) => readonly string[],
    first: number,
    end: number,
    text: (offset: number) => string,
  ) {
    this.#store = store
    this.#heldBy = heldBy
    this.#first = first
    this.#end = end
    this.#text = text
    this.#next = first
  }

  hold(key: StoreKey, service: KubeObject): void {
    for (const item of this.#heldBy(service)) this.#holders.set(item, key)
  }

  follow({ type, key, object, previous }: Change): void {
    for (const item of previous ? this.#heldBy(previous) : [])
      if (this.#holders.get(item) === key) this.#holders.delete(item)
    if (type !== 'DELETED') this.hold(key, object)
  }

  /** True when another Service has it. A holder whose creation failed after all has nothing. */
  isTaken(item: string, key: StoreKey): boolean {
    const holder = this.#holders.get(item)
    if (holder === undefined || holder === key) return false
    const service = this.#store.get(holder)
    return service !== undefined && this.#heldBy(service).includes(item)
  }

  /** A free one, held by `key` from now on. Undefined when there is none. */
  take(key: StoreKey): string | undefined {
    const size = this.#end - this.#first
    for (let tries = 0; tries < size; tries++) {
      const item = this.#text(this.#next)
      this.#next = this.#next + 1 < this.#end ? this.#next + 1 : this.#first
      if (this.isTaken(item, key) || this.#holders.get(item) === key) continue
      this.#holders.set(item, key)
      return item
    }
    return undefined
  }
}

function withAddress(
  pool: Pool,
  key: StoreKey,
  object: KubeObject,
  { old }: AdmissionContext,
): KubeObject {
  const spec = specOf(object)
  const oldSpec = old ? specOf(old) : {}
  if (spec['type'] === 'ExternalName')
    return withSpec(object, without(spec, 'clusterIP', 'clusterIPs'))
  const before = text(oldSpec['clusterIP'])
  const wanted = text(spec['clusterIP']) || firstText(spec['clusterIPs'])
  if (before !== '') {
    if (wanted !== '' && wanted !== before)
      throw refuse(
        object,
        'spec.clusterIPs[0]',
        `[]string{${JSON.stringify(wanted)}}`,
        'may not change once set',
      )
    return withIp(object, spec, before)
  }
  if (wanted === 'None') return withIp(object, spec, 'None')
  if (wanted !== '') {
    const listed = `[]string{${JSON.stringify(wanted)}}`
    if (!inRange(wanted))
      throw refuse(
        object,
        'spec.clusterIPs',
        listed,
        `failed to allocate IP ${wanted}: the provided IP (${wanted}) is not in the valid range. The range of valid IPs is 10.96.0.0/12`,
      )
    if (pool.isTaken(wanted, key))
      throw refuse(
        object,
        'spec.clusterIPs',
        listed,
        `failed to allocate IP ${wanted}: provided IP is already allocated`,
      )
    return withIp(object, spec, wanted)
  }
  const taken = pool.take(key)
  if (taken === undefined)
    throw new StatusError(
      'InternalError',
      'Internal error occurred: failed to allocate a serviceIP: range is full',
    )
  return withIp(object, spec, taken)
}

function withNodePorts(
  pool: Pool,
  key: StoreKey,
  object: KubeObject,
  { old }: AdmissionContext,
): KubeObject {
  const spec = specOf(object)
  const { ports } = spec
  if (!Array.isArray(ports)) return object
  const oldSpec = old ? specOf(old) : {}
  if (!hasNodePorts(spec)) {
    // A Service that stops being a NodePort gives its ports back without having to say so.
    if (!hasNodePorts(oldSpec)) return object
    return withSpec(object, {
      ...spec,
      ports: ports.map((port: unknown) => without(fieldsOf(port), 'nodePort')),
    })
  }
  const oldPorts = Array.isArray(oldSpec['ports']) ? oldSpec['ports'] : []
  const next = ports.map((each: unknown, index) => {
    const port = fieldsOf(each)
    const asked = port['nodePort']
    if (typeof asked === 'number' && asked !== 0) {
      const field = `spec.ports[${index}].nodePort`
      if (asked < firstNodePort || asked >= firstNodePort + nodePortCount)
        throw refuse(
          object,
          field,
          String(asked),
          'provided port is not in the valid range. The range of valid ports is 30000-32767',
        )
      if (pool.isTaken(String(asked), key))
        throw refuse(object, field, String(asked), 'provided port is already allocated')
      return port
    }
    const same: unknown = oldPorts.find(
      (before: unknown) =>
        fieldsOf(before)['port'] === port['port'] &&
        fieldsOf(before)['protocol'] === port['protocol'],
    )
    const kept = fieldsOf(same)['nodePort']
    const taken = typeof kept === 'number' && kept !== 0 ? kept : Number(pool.take(key))
    if (!Number.isInteger(taken))
      throw new StatusError(
        'InternalError',
        'Internal error occurred: failed to allocate a nodePort: range is full',
      )
    return { ...port, nodePort: taken }
  })
  return withSpec(object, { ...spec, ports: next })
}

const hasNodePorts = (spec: Fields): boolean =>
  spec['type'] === 'NodePort' ||
  (spec['type'] === 'LoadBalancer' && spec['allocateLoadBalancerNodePorts'] !== false)

const refuse = (object: KubeObject, field: string, value: string, why: string): StatusError =>
  invalid(serviceKind, object.metadata.name, [
    { reason: 'FieldValueInvalid', field, detail: `Invalid value: ${value}: ${why}` },
  ])

const specOf = (object: KubeObject): Fields => fieldsOf(open(object)['spec'])

function withSpec(object: KubeObject, spec: Fields): KubeObject {
  const fields = { spec }
  return { ...object, ...fields }
}

const withIp = (object: KubeObject, spec: Fields, ip: string): KubeObject =>
  withSpec(object, { ...spec, clusterIP: ip, clusterIPs: [ip] })

const text = (value: unknown): string => (typeof value === 'string' ? value : '')
const firstText = (value: unknown): string => (Array.isArray(value) ? text(value[0]) : '')

function ipsOf(service: KubeObject): readonly string[] {
  const ip = text(specOf(service)['clusterIP'])
  return ip === '' || ip === 'None' ? [] : [ip]
}

function nodePortsOf(service: KubeObject): readonly string[] {
  const { ports } = specOf(service)
  if (!Array.isArray(ports)) return []
  return ports
    .filter(isRecord)
    .map((port) => port['nodePort'])
    .filter((port) => typeof port === 'number' && port !== 0)
    .map(String)
}

function toNumber(a: number, b: number, c: number, d: number): number {
  return a * 2 ** 24 + b * 2 ** 16 + c * 2 ** 8 + d
}

const toAddress = (number: number): string =>
  [24, 16, 8, 0].map((shift) => Math.floor(number / 2 ** shift) % 256).join('.')

/** An address of the network that is neither its own nor its broadcast address. */
function inRange(address: string): boolean {
  const match = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})$/.exec(address)
  if (!match) return false
  const [a = 0, b = 0, c = 0, d = 0] = match.slice(1).map(Number)
  if ([a, b, c, d].some((part) => part > 255)) return false
  const offset = toNumber(a, b, c, d) - firstAddress
  return offset > 0 && offset < addressCount - 1
}
