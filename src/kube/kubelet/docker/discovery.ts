/**
 * Finds a Docker Engine as its own command line would, and then where Docker Desktop, rootless Docker, Colima, OrbStack,
 * Rancher Desktop and Podman put their sockets. The first that answers is it.
 */
import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Clock } from '../../../lib/clock.ts'
import { connectEngine, type Engine } from './engine.ts'
import { engineAddressText, type EngineAddress } from './engine-http.ts'
import { record, text } from './json.ts'

/** What of the surroundings says where to look. */
export interface Surroundings {
  readonly env: Readonly<Record<string, string | undefined>>
  readonly home: string
  readonly platform: string
  readonly uid: number | undefined
}

/** No engine answers; the message says where it was looked for. */
export class NoEngine extends Error {
  override readonly name = 'NoEngine'
}

/** Connects to the engine that DOCKER_HOST or Docker's context names, else to the first that answers. Throws NoEngine. */
export async function findEngine(around: Surroundings, clock: Clock): Promise<Engine> {
  const named = await namedEngine(around)
  const addresses = named ? [named] : usualAddresses(around)
  const tried: string[] = []
  for (const address of addresses) {
    try {
      return await connectEngine(address, clock)
    } catch (error) {
      const { code, message } = error as NodeJS.ErrnoException
      if (code === 'ENOENT' && !named) continue
      tried.push(`${engineAddressText(address)}: ${problems[code ?? ''] ?? message}`)
    }
  }
  throw new NoEngine(
    tried.length > 0
      ? `no Docker engine could be used: ${tried.join('; ')}`
      : `no Docker engine was found at ${addresses.map(engineAddressText).join(', ')}; start Docker or Podman's service (podman system service), or say where it is by DOCKER_HOST`,
  )
}

const problems: Readonly<Record<string, string>> = {
  EACCES: 'this user may not use it (is it in the group docker?)',
  ECONNREFUSED: 'nobody listens there; is it running?',
  ENOENT: 'there is no such socket; is it running?',
}

/** `unix:///run/docker.sock`, `npipe:////./pipe/docker_engine`, `tcp://127.0.0.1:2375`. Throws NoEngine for others. */
export function parseEngineHost(host: string): EngineAddress {
  const [scheme = '', rest = ''] = host.split(/:\/\/(.*)/s)
  if ((scheme === 'unix' || scheme === 'npipe') && rest !== '')
    return { kind: 'socket', path: scheme === 'npipe' ? rest.replaceAll('/', '\\') : rest }
  const tcp = scheme === 'tcp' || scheme === 'http' ? URL.parse(`http://${rest}`) : null
  if (tcp?.hostname) {
    const name = tcp.hostname.replace(/^\[|\]$/g, '')
    if (!/^(localhost|::1|127\.[\d.]+)$/.test(name))
      throw new NoEngine(
        `DOCKER_HOST: the engine at ${host} is another machine's; pods need their volumes and ports on this one`,
      )
    return { kind: 'tcp', host: name, port: Number(tcp.port || 2375) }
  }
  throw new NoEngine(
    `DOCKER_HOST: expected unix:///PATH or tcp://HOST:PORT, found "${host}"; ` +
      'engines of other machines and engines behind TLS are not supported',
  )
}

/** The one that the environment or Docker's own configuration names. */
async function namedEngine({ env, home }: Surroundings): Promise<EngineAddress | undefined> {
  const host = env['DOCKER_HOST'] || env['CONTAINER_HOST']
  if (host) {
    if (env['DOCKER_TLS_VERIFY'] && !host.startsWith('unix:'))
      throw new NoEngine(`DOCKER_HOST ${host}: engines behind TLS can't be used`)
    return parseEngineHost(host)
  }
  const folder = env['DOCKER_CONFIG'] || join(home, '.docker')
  const context =
    env['DOCKER_CONTEXT'] || text((await readJson(join(folder, 'config.json')))['currentContext'])
  if (context === '' || context === 'default') return undefined
  const id = createHash('sha256').update(context).digest('hex')
  const meta = await readJson(join(folder, 'contexts', 'meta', id, 'meta.json'))
  const found = text(record(record(meta['Endpoints'])['docker'])['Host'])
  return found === '' ? undefined : parseEngineHost(found)
}

async function readJson(path: string): Promise<Readonly<Record<string, unknown>>> {
  try {
    return record(JSON.parse(await readFile(path, 'utf8')))
  } catch {
    return {}
  }
}

export function usualAddresses({
  env,
  home,
  platform,
  uid,
}: Surroundings): readonly EngineAddress[] {
  if (platform === 'win32') return [{ kind: 'socket', path: '\\\\.\\pipe\\docker_engine' }]
  const runtimeDir = env['XDG_RUNTIME_DIR'] || (uid === undefined ? '' : `/run/user/${uid}`)
  return [
    '/var/run/docker.sock',
    ...(runtimeDir ? [join(runtimeDir, 'docker.sock')] : []),
    join(home, '.docker', 'run', 'docker.sock'),
    join(home, '.docker', 'desktop', 'docker.sock'),
    join(home, '.orbstack', 'run', 'docker.sock'),
    join(home, '.colima', 'default', 'docker.sock'),
    join(home, '.rd', 'docker.sock'),
    ...(runtimeDir ? [join(runtimeDir, 'podman', 'podman.sock')] : []),
    '/run/podman/podman.sock',
  ].map((path) => ({ kind: 'socket', path }))
}
