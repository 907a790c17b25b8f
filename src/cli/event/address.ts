/** Where `ebb event send` sends to: the address of a Broker or channel, or any URL, and how that is reached from here. */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { Endpoints } from '../../kube/api/endpoints.ts'
import type { ObjectKey } from '../../kube/api/meta.ts'
import { ServiceAccount } from '../../kube/api/service-account.ts'
import { hasReason } from '../../kube/api/status-error.ts'
import type { Post } from './sending.ts'
import { kindOf, oneInlet, type Session } from './session.ts'

const addressTries = 20
const addressEveryMs = 250

/** Of what flags name, else of the only Broker, else of the only channel. */
export async function postTo(session: Session): Promise<Post> {
  const inlet = await oneInlet(session)
  // What was made a moment ago has its address a moment later.
  for (let tried = 1; ; tried++) {
    const { status } = await session.client.get(kindOf(inlet), inlet)
    const { url = '', audience, CACerts } = status?.address ?? {}
    if (url !== '')
      return {
        url,
        keeps: true,
        ...(await wayTo(session, url, CACerts)),
        ...(await asWhom(session, inlet.namespace, audience)),
      }
    if (tried === addressTries)
      throw new Error(`${inlet.name} has no address yet: see its conditions (kubectl describe)`)
    await sleep(addressEveryMs)
  }
}

async function asWhom(
  session: Session,
  namespace: string,
  audience: string | undefined,
): Promise<Pick<Post, 'token' | 'whenAsked'>> {
  const name = session.args.string('account')
  if (name !== undefined && audience !== undefined)
    return { token: await tokenOf(session, { namespace, name }, audience) }
  return { whenAsked: `give --account NAME, a ServiceAccount of namespace ${namespace}` }
}

/** As `kubectl create token NAME --audience AUDIENCE`. */
async function tokenOf(session: Session, key: ObjectKey, audience: string): Promise<string> {
  const answer = (await session.client.subresource('create', ServiceAccount, key, 'token', {
    apiVersion: 'authentication.k8s.io/v1',
    kind: 'TokenRequest',
    spec: { audiences: [audience] },
  })) as { readonly status?: { readonly token?: string } }
  if (!answer.status?.token) throw new Error(`the API server gave no token of ${key.name}`)
  return answer.status.token
}

/** Names of the cluster, and those below localhost, are not known to every resolver. */
export async function postToUrl(session: Session, url: string): Promise<Post> {
  const { hostname = '', port = '', protocol = '' } = URL.parse(url) ?? {}
  if (/\.svc(\.cluster\.local)?$/.test(hostname)) return { url, ...(await wayTo(session, url)) }
  return hostname.endsWith('.localhost')
    ? { url, dial: { host: '127.0.0.1', port: Number(port || (protocol === 'https:' ? 443 : 80)) } }
    : { url }
}

/** Names of the cluster lead to the gateway's listener for them, and over TLS to the event engine. */
async function wayTo(
  session: Session,
  url: string,
  ca?: string,
): Promise<Pick<Post, 'dial' | 'ca'>> {
  if (!url.startsWith('https:')) return { dial: await localGateway(session) }
  const authority = ca ?? (await ownAuthority(session))
  return {
    dial: await secureDoor(session, url),
    ...(authority !== undefined && { ca: authority }),
  }
}

async function localGateway({
  layout: { endpoints },
}: Session): Promise<NonNullable<Post['dial']>> {
  const text = await readFile(endpoints, 'utf8').catch((error: unknown) => {
    throw new Error(
      `${endpoints} does not say where the gateway listens: give the --data-dir of the platform, or --to URL`,
      { cause: error },
    )
  })
  const { gatewayLocal = '' } = JSON.parse(text) as { readonly gatewayLocal?: string }
  const { hostname, port } = URL.parse(gatewayLocal) ?? {}
  if (!hostname)
    throw new Error(
      `${endpoints} names no listener of the gateway for names of the cluster: is \`ebb up\` running?`,
    )
  return { host: hostname, port: Number(port) }
}

const ingress: ObjectKey = { namespace: 'knative-eventing', name: 'broker-ingress' }

/** One listener serves all addresses of events, each by its name. */
async function secureDoor({ client }: Session, url: string): Promise<NonNullable<Post['dial']>> {
  const what = `${url} is served over TLS, at the Endpoints ${ingress.name} of namespace ${ingress.namespace}`
  const { subsets = [] } = await client.get(Endpoints, ingress).catch((error: unknown) => {
    if (!hasReason(error, 'Forbidden')) throw error
    throw new Error(`${what}, which this user may not read: ask as another one, or send from a pod`)
  })
  for (const { addresses = [], ports = [] } of subsets)
    for (const { name = '', port } of ports)
      if (name.startsWith('https') && addresses[0]) return { host: addresses[0].ip, port }
  throw new Error(`${what}, and nobody listens there yet: try again in a moment`)
}

/** PEM of what signs addresses of events; undefined = there is none in this data directory. */
async function ownAuthority({ layout }: Session): Promise<string | undefined> {
  const { localAuthorityPath } = await import('../../platform/access/local-authority.ts')
  const path = localAuthorityPath(join(layout.certificates, 'events'))
  return await readFile(path, 'utf8').catch(() => undefined)
}
