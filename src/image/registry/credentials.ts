/**
 * Who we are to a registry, out of Docker's config files and of Secrets in their format. Which entry is for which image
 * follows Kubernetes (pkg/credentialprovider/keyring.go): hosts with globs in their parts, perhaps a path, the longest
 * match first. Pure, but for the helpers that docker-config.ts runs.
 */

export interface Credential {
  readonly username?: string
  readonly password?: string
  /** Refresh token of the OAuth 2 flow (`identitytoken`). */
  readonly identityToken?: string
  /** Sent as it is (`registrytoken`). */
  readonly registryToken?: string
}

/** Finds credentials for a repository. */
export interface Keyring {
  /** Best first; none = nobody. `host` as image names have it: `docker.io`. */
  find(host: string, repository: string): Promise<readonly Credential[]>
}

export interface KeyEntry {
  readonly credential: Credential
  /** Parts of the host, without port; `*` and `?` stand for characters of one part. */
  readonly host: string
  readonly port: string
  /** Below the host; '' = all. */
  readonly path: string
}

/** Entries of `{"auths": {…}}` or, as in `.dockercfg`, of the map itself. Bad entries are left out. */
export function keyEntries(config: unknown): readonly KeyEntry[] {
  const outer = record(config)
  const auths = record('auths' in outer ? outer['auths'] : outer)
  return Object.entries(auths).flatMap(([key, value]) => {
    const credential = credentialOf(record(value))
    return credential ? [{ credential, ...placeOf(key) }] : []
  })
}

/** `user:password` in base64, or both in fields of their own; undefined when the entry says nothing. */
export function credentialOf(entry: Readonly<Record<string, unknown>>): Credential | undefined {
  const text = (key: string) => {
    const value = entry[key]
    return typeof value === 'string' && value !== '' ? value : undefined
  }
  const both = text('auth')
  const pair = both === undefined ? '' : Buffer.from(both, 'base64').toString('utf8')
  const colon = pair.indexOf(':')
  const username = colon > 0 ? pair.slice(0, colon) : text('username')
  // Docker itself pads with zeros.
  const password = colon > 0 ? pair.slice(colon + 1).replace(/\0+$/, '') : text('password')
  const identityToken = text('identitytoken')
  const registryToken = text('registrytoken')
  const credential: Credential = {
    ...(username !== undefined && { username }),
    ...(password !== undefined && { password }),
    ...(identityToken !== undefined && { identityToken }),
    ...(registryToken !== undefined && { registryToken }),
  }
  return identityToken !== undefined ||
    registryToken !== undefined ||
    (username !== undefined && password !== undefined)
    ? credential
    : undefined
}

/** Where a key of a config is for: `https://index.docker.io/v1/`, `*.azurecr.io`, `host:5000/team`. */
export function placeOf(key: string): { host: string; port: string; path: string } {
  const text = key.replace(/^https?:\/\//, '')
  const slash = text.indexOf('/')
  const address = slash < 0 ? text : text.slice(0, slash)
  let path = slash < 0 ? '' : text.slice(slash + 1).replace(/\/+$/, '')
  if (path === 'v1' || path === 'v2') path = ''
  const [, name = address, port = ''] = /^(.*?)(?::(\d+))?$/.exec(address) ?? []
  const host = name.toLowerCase()
  const isHub = host === 'index.docker.io' || host === 'registry-1.docker.io'
  return { host: isHub ? 'docker.io' : host, port, path }
}

/** What is for `host/repository`, the most specific first. */
export function matching(
  entries: readonly KeyEntry[],
  host: string,
  repository: string,
): readonly Credential[] {
  const target = placeOf(`${host}/${repository}`)
  return entries
    .filter(
      (entry) =>
        entry.port === target.port &&
        hostFits(entry.host, target.host) &&
        (entry.path === '' ||
          target.path === entry.path ||
          target.path.startsWith(`${entry.path}/`)),
    )
    .toSorted((a, b) => specific(b) - specific(a))
    .map(({ credential }) => credential)
}

const specific = ({ host, path }: KeyEntry): number =>
  path.length * 1000 + (/[*?]/.test(host) ? 0 : 500) + host.length

/** Part by part, so that `*.example.com` is no `a.b.example.com`. */
function hostFits(pattern: string, host: string): boolean {
  if (!/[*?]/.test(pattern)) return pattern === host
  const wanted = pattern.split('.')
  const parts = host.split('.')
  return wanted.length === parts.length && wanted.every((part, i) => partFits(part, parts[i] ?? ''))
}

/** Without regular expressions: the pattern is a stranger's. */
function partFits(pattern: string, text: string): boolean {
  let p = 0
  let t = 0
  let star = -1
  let from = 0
  while (t < text.length) {
    if (
      p < pattern.length &&
      (pattern[p] === '?' || pattern[p] === text[t]) &&
      pattern[p] !== '*'
    ) {
      p++
      t++
    } else if (pattern[p] === '*') {
      star = p++
      from = t
    } else if (star >= 0) {
      p = star + 1
      t = ++from
    } else return false
  }
  while (pattern[p] === '*') p++
  return p === pattern.length
}

/** A keyring of entries that are known already. */
export const keyring = (entries: readonly KeyEntry[]): Keyring => ({
  find: async (host, repository) => matching(entries, host, repository),
})

/** Nobody. */
export const noKeys: Keyring = { find: async () => [] }

/** The first keyring that knows anything. */
export const firstOf = (...rings: readonly Keyring[]): Keyring => ({
  async find(host, repository) {
    for (const ring of rings) {
      const found = await ring.find(host, repository)
      if (found.length > 0) return found
    }
    return []
  },
})

const record = (value: unknown): Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
    ? (value as Readonly<Record<string, unknown>>)
    : {}
