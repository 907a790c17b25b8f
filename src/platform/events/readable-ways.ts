/**
 * What of a trace its reader may see. A trace goes from one Broker to the others of its namespace, and who may read the
 * events of one is not thereby let in to the others: what came to those is left out.
 */
import type { Readable } from 'node:stream'
import { createInterface } from 'node:readline'
import type { Kind, UserInfo } from '../../kube/api/kind.ts'
import type { KubeObject } from '../../kube/api/meta.ts'
import type { Client } from '../../kube/client/client.ts'
import { eventingGroup, messagingGroup } from '../../eventing/api/names.ts'

interface Place {
  readonly kind: string
  readonly namespace: string
  readonly name: string
}

/**
 * Lines of `ways`, a document each, that `user` may read by `get` on the `trace` of their Broker or channel. Throws when
 * `ways` was cut short.
 */
export async function* readableWays(
  ways: Readable & { readonly complete?: boolean },
  user: UserInfo,
  client: Pick<Client, 'create'>,
): AsyncGenerator<string> {
  const known = new Map<string, Promise<boolean>>()
  for await (const line of createInterface({ input: ways, crlfDelay: Infinity })) {
    if (line === '') continue
    const { channel } = JSON.parse(line) as { readonly channel: Place }
    const key = `${channel.kind}/${channel.namespace}/${channel.name}`
    const isReadable = known.get(key) ?? mayTrace(channel, user, client)
    known.set(key, isReadable)
    if (await isReadable) yield `${line}\n`
  }
  if (ways.complete === false) throw new Error('the event engine ended in the middle of its answer')
}

/** A Channel and the InMemoryChannel behind it are one log. */
async function mayTrace(
  { kind, namespace, name }: Place,
  { username, groups }: UserInfo,
  client: Pick<Client, 'create'>,
): Promise<boolean> {
  const resources = kind === 'Broker' ? ['brokers'] : ['channels', 'inmemorychannels']
  for (const resource of resources) {
    const asked: Review = {
      apiVersion: 'authorization.k8s.io/v1',
      kind: 'SubjectAccessReview',
      metadata: { name: '' },
      spec: {
        user: username,
        groups,
        resourceAttributes: {
          verb: 'get',
          group: kind === 'Broker' ? eventingGroup : messagingGroup,
          resource,
          subresource: 'trace',
          namespace,
          name,
        },
      },
    }
    if ((await client.create(accessReview, asked)).status?.allowed === true) return true
  }
  return false
}

interface Review extends KubeObject {
  readonly spec: object
  readonly status?: { readonly allowed?: boolean }
}

const accessReview: Kind<Review> = {
  group: 'authorization.k8s.io',
  version: 'v1',
  kind: 'SubjectAccessReview',
  plural: 'subjectaccessreviews',
  namespaced: false,
}
