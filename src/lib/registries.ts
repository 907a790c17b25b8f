/**
 * Which registries stand in for which, and how each is reached: the shape of k3s' and RKE2's `registries.yaml` (their
 * "Private Registry Configuration"), because half of the world has one already. Pure; how YAML is read is the caller's.
 */

/** How one registry, or one mirror, is reached. */
export interface RegistryAccess {
  readonly auth?: {
    readonly username?: string
    readonly password?: string
    /** Base64 of `username:password`. */
    readonly auth?: string
    readonly identityToken?: string
  }
  readonly tls: {
    /** PEM file of authorities to trust besides the usual ones. */
    readonly caFile?: string
    /** The same as text. */
    readonly ca?: string
    readonly certFile?: string
    readonly keyFile?: string
    readonly insecureSkipVerify: boolean
  }
}

export interface Mirror {
  /** URLs without a path at the end, tried in order: `http://localhost:5000`. */
  readonly endpoints: readonly string[]
  /** The first pattern that fits the repository changes it, for mirrors only. */
  readonly rewrites: readonly { readonly pattern: RegExp; readonly replacement: string }[]
  /** Whether the registry itself is asked when no mirror has the image. */
  readonly fallback: boolean
}

export interface Registries {
  /** No registry is asked at all: what is not on this machine is missing. */
  readonly offline: boolean
  /** By the registry's host and port as image names have it; `*` stands for all others. */
  readonly mirrors: ReadonlyMap<string, Mirror>
  /** By host and port. */
  readonly access: ReadonlyMap<string, RegistryAccess>
}

export const noRegistries: Registries = { offline: false, mirrors: new Map(), access: new Map() }

/** How a registry is reached that nothing is said about. */
export const plainAccess: RegistryAccess = { tls: { insecureSkipVerify: false } }

const hostPattern = /^(\*|\[[0-9a-fA-F:]+\](:\d+)?|[a-zA-Z0-9]([a-zA-Z0-9.-]*[a-zA-Z0-9])?(:\d+)?)$/

/**
 * Reads the value of a `registries.yaml`: `mirrors` and `configs`. `textOf` finds what `tls.ca` names. Throws an Error
 * with the path, what was found and what was expected; unknown keys are refused, as a misspelt mirror would be silent.
 */
export function parseRegistries(
  value: unknown,
  textOf: (name: string) => string | undefined = () => undefined,
): Pick<Registries, 'mirrors' | 'access'> {
  const { mirrors, configs } = fields(value, 'registries', ['mirrors', 'configs'])
  return {
    mirrors: new Map(
      entries(mirrors, 'mirrors').map(([host, mirror]) => [
        hostOf(host, 'mirrors'),
        mirrorOf(mirror, `mirrors.${host}`),
      ]),
    ),
    access: new Map(
      entries(configs, 'configs').map(([host, access]) => [
        hostOf(host.replace(/^https?:\/\//, ''), 'configs'),
        accessOf(access, `configs.${host}`, textOf),
      ]),
    ),
  }
}

function mirrorOf(value: unknown, path: string): Mirror {
  const { endpoint, rewrite, fallback } = fields(value, path, ['endpoint', 'rewrite', 'fallback'])
  const list = endpoint === undefined || endpoint === null ? [] : endpoint
  if (!Array.isArray(list)) throw wrong(`${path}.endpoint`, 'a list of URLs', endpoint)
  return {
    endpoints: list.map((item: unknown, i) => endpointUrl(item, `${path}.endpoint[${i}]`)),
    rewrites: entries(rewrite, `${path}.rewrite`).map(([pattern, replacement]) => ({
      pattern: expression(pattern, `${path}.rewrite`),
      replacement: string(replacement, `${path}.rewrite["${pattern}"]`),
    })),
    fallback: boolean(fallback, `${path}.fallback`, true),
  }
}

function endpointUrl(value: unknown, path: string): string {
  const text = string(value, path)
  const url = URL.parse(/^https?:\/\//.test(text) ? text : `https://${text}`)
  if (!url || url.username !== '' || url.search !== '' || url.hash !== '')
    throw wrong(path, 'a URL such as https://mirror.example.com', value)
  const folder = url.pathname.replace(/\/+$/, '')
  if (folder !== '' && folder !== '/v2')
    throw wrong(path, 'a URL without a path (use rewrite for prefixes of repositories)', value)
  return url.origin
}

function accessOf(
  value: unknown,
  path: string,
  textOf: (name: string) => string | undefined,
): RegistryAccess {
  const { auth, tls } = fields(value, path, ['auth', 'tls'])
  const word = (item: unknown, at: string) => (item === undefined ? undefined : string(item, at))
  const a = fields(auth, `${path}.auth`, ['username', 'password', 'auth', 'identity_token'])
  const t = fields(tls, `${path}.tls`, [
    'ca_file',
    'ca',
    'cert_file',
    'key_file',
    'insecure_skip_verify',
  ])
  const caName = word(t['ca'], `${path}.tls.ca`)
  const ca = caName === undefined ? undefined : textOf(caName)
  if (caName !== undefined && ca === undefined)
    throw new Error(`${path}.tls.ca: there is no key "${caName}" with a PEM certificate`)
  return {
    ...(auth !== undefined && {
      auth: {
        ...optional('username', word(a['username'], `${path}.auth.username`)),
        ...optional('password', word(a['password'], `${path}.auth.password`)),
        ...optional('auth', word(a['auth'], `${path}.auth.auth`)),
        ...optional('identityToken', word(a['identity_token'], `${path}.auth.identity_token`)),
      },
    }),
    tls: {
      ...optional('caFile', word(t['ca_file'], `${path}.tls.ca_file`)),
      ...optional('ca', ca),
      ...optional('certFile', word(t['cert_file'], `${path}.tls.cert_file`)),
      ...optional('keyFile', word(t['key_file'], `${path}.tls.key_file`)),
      insecureSkipVerify: boolean(
        t['insecure_skip_verify'],
        `${path}.tls.insecure_skip_verify`,
        false,
      ),
    },
  }
}

const optional = <K extends string>(
  key: K,
  value: string | undefined,
): Partial<Record<K, string>> =>
  // A computed key widens to string.
  (value === undefined ? {} : { [key]: value }) as Partial<Record<K, string>>

function expression(text: string, path: string): RegExp {
  try {
    return new RegExp(text)
  } catch (error) {
    throw new Error(`${path}: "${text}" is no regular expression`, { cause: error })
  }
}

function hostOf(text: string, path: string): string {
  if (!hostPattern.test(text)) throw wrong(path, 'the host of a registry, perhaps with port', text)
  return text === 'index.docker.io' || text === 'registry-1.docker.io' ? 'docker.io' : text
}

function fields(
  value: unknown,
  path: string,
  known: readonly string[],
): Readonly<Record<string, unknown>> {
  const all = Object.fromEntries(entries(value, path))
  const stranger = Object.keys(all).find((key) => !known.includes(key))
  if (stranger !== undefined)
    throw new Error(`${path}: unknown key "${stranger}"; there are: ${known.join(', ')}`)
  return all
}

function entries(value: unknown, path: string): readonly (readonly [string, unknown])[] {
  if (value === undefined || value === null) return []
  if (typeof value !== 'object' || Array.isArray(value)) throw wrong(path, 'a map', value)
  return Object.entries(value)
}

function string(value: unknown, path: string): string {
  if (typeof value === 'number') return String(value)
  if (typeof value !== 'string' || value === '') throw wrong(path, 'text', value)
  return value
}

function boolean(value: unknown, path: string, fallback: boolean): boolean {
  if (value === undefined || value === null) return fallback
  if (value === true || value === 'true') return true
  if (value === false || value === 'false') return false
  throw wrong(path, 'true or false', value)
}

const wrong = (path: string, expected: string, found: unknown): Error =>
  new Error(`${path}: expected ${expected}, found ${JSON.stringify(found)}`)
