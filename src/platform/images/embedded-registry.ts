/**
 * Starts the embedded registry with credentials of its own, and writes them where Docker's tools read them:
 * `DOCKER_CONFIG=DIR/docker docker push localhost:PORT/x`.
 */
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { randomBytes } from 'node:crypto'
import type { Clock } from '../../lib/clock.ts'
import type { Log } from '../../lib/log.ts'
import type { ContentStore } from '../../image/content-store.ts'
import type { EmbeddedRegistry } from '../../registry/registry.ts'
import { addressText, type WantedAddress } from '../config.ts'

export interface EmbeddedRegistryOptions {
  readonly store: ContentStore
  readonly clock: Clock
  readonly log: Log
  readonly dataDir: string
  readonly address: WantedAddress
}

/** Of everybody who may push: there is one. */
const username = 'ebb'

/** Throws an Error that names the flag when the address that was asked for is not free. */
export async function startEmbeddedRegistry({
  address,
  dataDir,
  ...common
}: EmbeddedRegistryOptions): Promise<EmbeddedRegistry> {
  const { startRegistry } = await import('../../registry/registry.ts')
  const folder = join(dataDir, 'docker')
  const password = (await passwordOf(folder)) ?? randomBytes(24).toString('base64url')
  const { host } = address
  const start = (port: number) => startRegistry({ ...common, host, port, username, password })
  const registry = await start(address.port).catch(async (error: NodeJS.ErrnoException) => {
    if (error.code === 'EADDRINUSE' && address.fallback) return await start(0)
    throw new Error(
      `can't listen on ${addressText(address)}: ${error.message}. Choose another with --registry`,
      { cause: error },
    )
  })
  try {
    await writeConfig(folder, hostsOf(host, registry.port), password)
  } catch (error) {
    await registry[Symbol.asyncDispose]()
    throw error
  }
  return registry
}

/** Names under which a client on this machine may call it. */
const hostsOf = (host: string, port: number): readonly string[] => [
  ...new Set([`localhost:${port}`, `127.0.0.1:${port}`, addressText({ host, port })]),
]

const configName = 'config.json'

/** That of last time, so that what was logged in stays so. */
async function passwordOf(folder: string): Promise<string | undefined> {
  try {
    const value: unknown = JSON.parse(await readFile(join(folder, configName), 'utf8'))
    const { auths } = Object(value) as { readonly auths?: unknown }
    for (const entry of Object.values(Object(auths) as Readonly<Record<string, unknown>>)) {
      const { auth } = Object(entry) as { readonly auth?: unknown }
      const text = typeof auth === 'string' ? Buffer.from(auth, 'base64').toString('utf8') : ''
      if (text.startsWith(`${username}:`)) return text.slice(username.length + 1)
    }
  } catch {
    // None yet, or damaged: a new one is made.
  }
  return undefined
}

async function writeConfig(
  folder: string,
  hosts: readonly string[],
  password: string,
): Promise<void> {
  const auth = Buffer.from(`${username}:${password}`).toString('base64')
  const config = { auths: Object.fromEntries(hosts.map((host) => [host, { auth }])) }
  await mkdir(folder, { recursive: true, mode: 0o700 })
  const path = join(folder, configName)
  await writeFile(`${path}.new`, `${JSON.stringify(config, null, 2)}\n`, { mode: 0o600 })
  await rename(`${path}.new`, path)
}
