/** Which KIngresses name a host. The index is made when the first shared host asks: most platforms have none. */
import { keyOf, keyText, type ObjectKey } from '../../kube/api/meta.ts'
import type { Reader } from '../../kube/controller/reconciler.ts'
import { Ingress } from '../../serving/api/ingress.ts'
import { hostsOf } from '../../serving/controllers/ingress/host-owner.ts'

export class HostOwners {
  readonly #read: Reader
  #hosts: Map<string, Set<string>> | undefined
  /** Ingress -> its hosts, as they are in the index. */
  readonly #named = new Map<string, readonly string[]>()

  constructor(read: Reader) {
    this.#read = read
  }

  /** In the order of their age. */
  of(host: string): readonly Ingress[] {
    const keys = this.#index().get(host) ?? []
    return [...keys]
      .flatMap((key) => this.#read.get(Ingress, parse(key)) ?? [])
      .toSorted(byIngressAge)
  }

  /** To be called when the Ingress has changed or gone. Answers the hosts that it names or named. */
  changed(key: ObjectKey): readonly string[] {
    if (!this.#hosts) return []
    const text = keyText(key)
    const before = this.#named.get(text) ?? []
    const ingress = this.#read.get(Ingress, key)
    const after = ingress ? hostsOf(ingress) : []
    for (const host of before) {
      const keys = this.#hosts.get(host)
      keys?.delete(text)
      if (keys?.size === 0) this.#hosts.delete(host)
    }
    this.#add(this.#hosts, text, after)
    return [...new Set([...before, ...after])]
  }

  #index(): Map<string, Set<string>> {
    if (!this.#hosts) {
      this.#hosts = new Map()
      for (const ingress of this.#read.list(Ingress, ''))
        this.#add(this.#hosts, keyText(keyOf(ingress)), hostsOf(ingress))
    }
    return this.#hosts
  }

  #add(index: Map<string, Set<string>>, text: string, hosts: readonly string[]): void {
    if (hosts.length > 0) this.#named.set(text, hosts)
    else this.#named.delete(text)
    for (const host of hosts) {
      const keys = index.get(host)
      if (keys) keys.add(text)
      else index.set(host, new Set([text]))
    }
  }
}

const age = ({ metadata }: Ingress): string =>
  `${metadata.creationTimestamp ?? ''} ${metadata.namespace ?? ''}/${metadata.name}`

/** As the gateway does it: the first has the host. */
export const byIngressAge = (a: Ingress, b: Ingress): number => (age(a) < age(b) ? -1 : 1)

function parse(text: string): ObjectKey {
  const [namespace = '', name = ''] = text.split('/')
  return { namespace, name }
}
