/** Keeps the Secrets of server certificates there while transport-encryption is on. */
import type { Clock } from '../../../lib/clock.ts'
import type { Log } from '../../../lib/log.ts'
import { ConfigMap } from '../../../kube/api/config-map.ts'
import { Secret } from '../../../kube/api/secret.ts'
import { hasReason } from '../../../kube/api/status-error.ts'
import type { Client } from '../../../kube/client/client.ts'
import type { Informers } from '../../../kube/client/informer.ts'
import { featuresIn } from '../../api/config/read.ts'
import { hostNames, systemNamespace } from '../../api/names.ts'
import { isFeatures } from '../feature-watch.ts'
import { isServerSecret, missingSecrets, ownLabel, serverSecrets } from './server-secrets.ts'

/** A certificate for these names. PEM texts. */
export type Sign = (names: readonly string[]) => Promise<{
  readonly chain: string
  readonly privateKey: string
  readonly ca?: string
}>

export interface ServerSecretsDeps {
  readonly client: Client
  readonly informers: Informers
  readonly clock: Clock
  readonly log: Log
  readonly sign: Sign
}

/** Looked at so often, for those near their end; and again so soon after a failure. */
const lookEveryMs = 6 * 3_600_000
const againMs = 5_000

export function startServerSecrets(deps: ServerSecretsDeps): Disposable {
  const { informers, clock, log } = deps
  const read = informers.reader()
  let running: Promise<void> | undefined
  /** Something has changed since the look that runs began. */
  let missed = false
  let closed = false
  let cancel = () => {}
  const later = (delayMs: number) => {
    cancel()
    if (!closed) cancel = clock.after(delayMs, look)
  }
  const make = async (name: string): Promise<void> => {
    const host = Object.values(serverSecrets).find((each) => each.name === name)?.host ?? ''
    await write(name, host, deps)
  }
  function look(): void {
    if (closed || featuresIn(read).transportEncryption === 'disabled') return
    missed = running !== undefined
    if (missed) return
    running = Promise.all(missingSecrets(read, clock.now()).map(make))
      .then(
        () => later(lookEveryMs),
        (error: unknown) => {
          log.error('a server certificate of Eventing can not be made', { error })
          later(againMs)
        },
      )
      .finally(() => {
        running = undefined
        if (missed) look()
      })
  }
  const features = informers.for(ConfigMap).subscribe((_, map) => void (isFeatures(map) && look()))
  const secrets = informers.for(Secret).subscribe((type, secret) => {
    if (type === 'DELETED' && isServerSecret(secret)) look()
  })
  return {
    [Symbol.dispose]() {
      closed = true
      cancel()
      features[Symbol.dispose]()
      secrets[Symbol.dispose]()
    },
  }
}

async function write(name: string, host: string, { client, informers, sign }: ServerSecretsDeps) {
  const { chain, privateKey, ca = '' } = await sign(hostNames(host))
  const base64 = (text: string) => Buffer.from(text).toString('base64')
  const data = {
    'tls.crt': base64(chain),
    'tls.key': base64(privateKey),
    'ca.crt': base64(ca),
  }
  const metadata = { name, namespace: systemNamespace, labels: { [ownLabel]: 'true' } }
  const key = { namespace: systemNamespace, name }
  if (informers.for(Secret).get(key)) {
    await client.patch(Secret, key, { type: 'merge', body: { data } })
    return
  }
  try {
    await client.create(Secret, {
      apiVersion: 'v1',
      kind: Secret.kind,
      metadata,
      type: 'kubernetes.io/tls',
      data,
    })
  } catch (error) {
    if (!hasReason(error, 'AlreadyExists')) throw error
  }
}
