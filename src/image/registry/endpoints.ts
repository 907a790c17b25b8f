/** Where an image is looked for: its registry's mirrors in order, then the registry itself. Pure. */
import {
  noRegistries,
  plainAccess,
  type Registries,
  type RegistryAccess,
} from '../../lib/registries.ts'
import type { Reference } from '../reference.ts'

export interface Endpoint {
  /** Host with port, under which credentials are kept: `docker.io`, `localhost:5000`. */
  readonly host: string
  /** Origins to try, the first that can be spoken to is taken: `https://registry-1.docker.io`. */
  readonly origins: readonly string[]
  readonly repository: string
  readonly access: RegistryAccess
  readonly isMirror: boolean
}

/** Names under these are only ever built on this machine, as Knative's own defaults have it. */
const localRegistries = new Set(['dev.local', 'ko.local', 'kind.local'])

/** Docker Hub's images are named by one host and served by another. */
const dockerHub = 'registry-1.docker.io'

/** Endpoints in the order in which they are to be tried; none for names that no registry is asked for. */
export function endpointsOf(
  { registry, repository }: Reference,
  registries: Registries = noRegistries,
): readonly Endpoint[] {
  if (registries.offline || localRegistries.has(registry)) return []
  const mirror = registries.mirrors.get(registry) ?? registries.mirrors.get('*')
  const rewritten = rewrite(repository, mirror?.rewrites ?? [])
  const mirrors = (mirror?.endpoints ?? []).map((origin): Endpoint => {
    const host = new URL(origin).host
    return {
      host: nameOf(host),
      origins: [origin],
      repository: rewritten,
      access: accessOf(host, registries),
      isMirror: true,
    }
  })
  if (mirrors.length > 0 && mirror?.fallback === false) return mirrors
  const access = accessOf(registry, registries)
  const origins = originsOf(registry)
  // A registry that is named as its own mirror was asked already.
  const asked = mirrors.some(
    (other) => other.repository === repository && origins.includes(other.origins[0] ?? ''),
  )
  return asked
    ? mirrors
    : [...mirrors, { host: registry, origins, repository, access, isMirror: false }]
}

function originsOf(registry: string): readonly string[] {
  if (registry === 'docker.io') return [`https://${dockerHub}`]
  // As Docker does: nobody listens in on the way to this machine.
  return isLoopback(registry)
    ? [`https://${registry}`, `http://${registry}`]
    : [`https://${registry}`]
}

/** `localhost`, 127.0.0.0/8 and ::1, with or without a port. */
export function isLoopback(host: string): boolean {
  const name = host.replace(/:\d+$/, '')
  return /^localhost$|\.localhost$|^127(\.\d{1,3}){3}$|^\[::1\]$/.test(name)
}

function rewrite(
  repository: string,
  rewrites: readonly { readonly pattern: RegExp; readonly replacement: string }[],
): string {
  for (const { pattern, replacement } of rewrites)
    if (pattern.test(repository)) return repository.replace(pattern, replacement)
  return repository
}

const nameOf = (host: string): string =>
  host === dockerHub || host === 'index.docker.io' ? 'docker.io' : host

/** A loopback registry's certificate can be its own: there is nobody between. */
export function accessOf(host: string, { access }: Registries): RegistryAccess {
  const found = access.get(nameOf(host)) ?? access.get('*')
  if (found) return found
  return isLoopback(host) ? { tls: { insecureSkipVerify: true } } : plainAccess
}
