/**
 * How a program in a pod reaches the API server: its account's token and the authority's certificate, where Kubernetes
 * mounts them, and the address in two environment variables (client-go's rest.InClusterConfig). The token has an end and
 * its file is renewed in time, so it is read again once a minute, as client-go does.
 */
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Clock } from '../../../lib/clock.ts'
import type { Kubeconfig } from './kubeconfig.ts'

export const accountFolder = '/var/run/secrets/kubernetes.io/serviceaccount'

type Environment = Readonly<Record<string, string | undefined>>

const rereadMs = 60_000

/** How to reach the server from inside a pod; undefined when this is none. */
export function inClusterConfig(
  env: Environment,
  clock: Clock,
  folder: string = accountFolder,
): Kubeconfig | undefined {
  const host = env['KUBERNETES_SERVICE_HOST']
  const port = env['KUBERNETES_SERVICE_PORT']
  const tokenFile = join(folder, 'token')
  if (!host || !port || !existsSync(tokenFile)) return undefined
  const caFile = join(folder, 'ca.crt')
  const namespaceFile = join(folder, 'namespace')
  const text = (file: string) => readFileSync(file, 'utf8').trim()
  let token = text(tokenFile)
  let readAtMs = clock.monotonic()
  return {
    namespace: existsSync(namespaceFile) ? text(namespaceFile) || 'default' : 'default',
    api: {
      server: `https://${host.includes(':') ? `[${host}]` : host}:${port}`,
      ...(existsSync(caFile) && { ca: text(caFile) }),
      token: () => {
        if (clock.monotonic() - readAtMs < rereadMs) return token
        readAtMs = clock.monotonic()
        try {
          token = text(tokenFile)
        } catch {
          // It is being replaced; the one from a minute ago is good for longer than until the next look.
        }
        return token
      },
    },
  }
}
