/**
 * The credentials of whoever runs the platform: Docker's `config.json` with `auths`, `credHelpers` and `credsStore`
 * (docs.docker.com/reference/cli/docker/login). Read anew when the file has changed, so `docker login` counts at once.
 */
import { execFile } from 'node:child_process'
import { readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import {
  credentialOf,
  keyEntries,
  matching,
  type Credential,
  type KeyEntry,
  type Keyring,
} from './credentials.ts'

export interface DockerConfigOptions {
  /** Folder of `config.json`: DOCKER_CONFIG, else `~/.docker`. */
  readonly folder: string
  /** Is told, once a change of the file, what is wrong with it or with a helper. */
  readonly warn: (message: string) => void
  /** Where helpers lie; default: the PATH. */
  readonly helperFolder?: string
}

interface DockerConfig {
  readonly entries: readonly KeyEntry[]
  readonly helpers: ReadonlyMap<string, string>
  readonly store: string | undefined
}

const empty: DockerConfig = { entries: [], helpers: new Map(), store: undefined }
const maxConfigBytes = 4 << 20
const helperTimeoutMs = 10_000
/** Docker keeps its hub under the address it had at first. */
const hubKey = 'https://index.docker.io/v1/'

export function dockerConfigKeyring({ folder, warn, helperFolder }: DockerConfigOptions): Keyring {
  const path = join(folder, 'config.json')
  let read: { readonly version: string; readonly config: DockerConfig } | undefined

  const ask = (name: string, key: string) => {
    const program = `docker-credential-${name}`
    return fromHelper(helperFolder ? join(helperFolder, program) : program, key, warn)
  }

  const current = async (): Promise<DockerConfig> => {
    const info = await stat(path).catch(() => undefined)
    if (!info?.isFile()) return empty
    const version = `${info.mtimeMs} ${info.size} ${info.ino}`
    if (read?.version === version) return read.config
    let config = empty
    try {
      if (info.size > maxConfigBytes) throw new Error(`it has more than ${maxConfigBytes} bytes`)
      config = parseDockerConfig(await readFile(path, 'utf8'))
    } catch (error) {
      warn(`${path} can't be used: ${error instanceof Error ? error.message : String(error)}`)
    }
    read = { version, config }
    return config
  }

  return {
    async find(host, repository) {
      const { entries, helpers, store } = await current()
      const helper = helpers.get(host) ?? (host === 'docker.io' ? helpers.get(hubKey) : undefined)
      const key = host === 'docker.io' ? hubKey : host
      if (helper !== undefined) return await ask(helper, key)
      const found = matching(entries, host, repository)
      if (found.length > 0 || store === undefined) return found
      return await ask(store, key)
    },
  }
}

/** Throws an Error when the text is no JSON. */
export function parseDockerConfig(text: string): DockerConfig {
  const value: unknown = JSON.parse(text)
  const { auths, credHelpers, credsStore } = Object(value) as Readonly<Record<string, unknown>>
  const helpers = Object.entries(Object(credHelpers) as Readonly<Record<string, unknown>>)
  return {
    entries: keyEntries({ auths }),
    helpers: new Map(
      helpers.flatMap(([host, name]) => (isHelper(name) ? [[host, name] as const] : [])),
    ),
    store: isHelper(credsStore) ? credsStore : undefined,
  }
}

/** A name, not a path. */
const isHelper = (name: unknown): name is string =>
  typeof name === 'string' && /^[a-zA-Z0-9][\w.-]*$/.test(name)

/** Asks `docker-credential-NAME get`; none when it knows nothing or fails (docker-credential-helpers' protocol). */
async function fromHelper(
  program: string,
  key: string,
  warn: (message: string) => void,
): Promise<readonly Credential[]> {
  const output = await new Promise<string | undefined>((resolve) => {
    const child = execFile(
      program,
      ['get'],
      { timeout: helperTimeoutMs, killSignal: 'SIGKILL', maxBuffer: 1 << 20 },
      (error, stdout) => {
        // A helper says "credentials not found" on its stdout and fails: that is no news.
        if (error && !/not found/i.test(stdout)) {
          const why = error.killed ? `no answer within ${helperTimeoutMs / 1000} s` : error.message
          warn(`${program} could not be asked for ${key}: ${why}`)
        }
        resolve(error ? undefined : stdout)
      },
    )
    child.stdin?.on('error', () => {}) // it may end without reading
    child.stdin?.end(key)
  })
  if (output === undefined) return []
  try {
    const value: unknown = JSON.parse(output)
    const { Username, Secret } = Object(value) as Readonly<Record<string, unknown>>
    const credential = credentialOf(
      Username === '<token>' ? { identitytoken: Secret } : { username: Username, password: Secret },
    )
    return credential ? [credential] : []
  } catch {
    warn(`${program} answered something else than JSON for ${key}`)
    return []
  }
}
