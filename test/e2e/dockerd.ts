/**
 * A Docker Engine of its own for a test: Debian's dockerd with directories, socket and address range of its own, which
 * touches neither the machine's firewall nor an engine that runs there already.
 */
import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { request } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { installed } from './installed.ts'
import { until } from './platform.ts'

export interface Dockerd extends AsyncDisposable {
  /** For DOCKER_HOST. */
  readonly host: string
  /** GET, with the answer's JSON. */
  get(path: string): Promise<unknown>
  send(method: 'POST' | 'DELETE', path: string): Promise<unknown>
}

/** Another engine to run the tests on, Podman's service for example: `unix:///run/podman/podman.sock`. */
const given = process.env['EBB_TEST_DOCKER_HOST']

/** Why there can be none on this machine; false when it is worth a try. */
export function withoutDockerd(): string | false {
  if (given) return false
  if (process.platform !== 'linux') return 'dockerd runs on Linux only'
  if (process.getuid?.() !== 0) return 'dockerd takes root'
  if (!installed('dockerd', 'docker.io'))
    return 'there is no dockerd, and docker.io could not be installed'
  return false
}

/** One of its own; or why there is none on this machine, with dockerd's last words when it is here but does not come up. */
export async function openDockerd(): Promise<Dockerd | string> {
  return (
    withoutDockerd() ||
    (await startDockerd().catch(
      (error: unknown) =>
        `dockerd is here but does not start: ${error instanceof Error ? error.message : String(error)}`,
    ))
  )
}

async function startDockerd(): Promise<Dockerd> {
  if (given) {
    const calls = callsTo(given.replace('unix://', ''))
    return { host: given, ...calls, async [Symbol.asyncDispose]() {} }
  }
  const folder = await mkdtemp(join(tmpdir(), 'ebb-dockerd-'))
  const socket = join(folder, 'docker.sock')
  const child = spawn(
    'dockerd',
    [
      `--data-root=${join(folder, 'data')}`,
      `--exec-root=${join(folder, 'exec')}`,
      `--pidfile=${join(folder, 'pid')}`,
      `--host=unix://${socket}`,
      '--default-address-pool=base=10.213.0.0/16,size=24',
      '--bridge=none',
      '--iptables=false',
      '--ip6tables=false',
      '--ip-masq=false',
      '--ip-forward=false',
    ],
    { stdio: ['ignore', 'ignore', 'pipe'] },
  )
  let said = ''
  child.stderr.on('data', (chunk: Buffer) => (said = (said + chunk.toString()).slice(-10_000)))
  const exited = new Promise<void>((resolve) => child.once('close', () => resolve()))
  const stop = async () => {
    child.kill('SIGTERM')
    await exited
    await rm(folder, { recursive: true, force: true, maxRetries: 5 })
  }
  const calls = callsTo(socket)
  try {
    await until('dockerd is up', async () => {
      if (child.exitCode !== null)
        throw new Error(`it said ${said.trim().split('\n').slice(-3).join('\n')}`)
      return existsSync(socket) && (await calls.get('/_ping').catch(() => undefined)) === 'OK'
    })
  } catch (error) {
    await stop()
    throw error
  }
  return { host: `unix://${socket}`, ...calls, [Symbol.asyncDispose]: stop }
}

function callsTo(socket: string): Pick<Dockerd, 'get' | 'send'> {
  const send = (method: string, path: string): Promise<unknown> =>
    new Promise((resolve, reject) => {
      const call = request({ socketPath: socket, method, path }, (answer) => {
        let body = ''
        answer.setEncoding('utf8')
        answer.on('data', (chunk: string) => (body += chunk))
        answer.on('end', () => {
          try {
            resolve(JSON.parse(body))
          } catch {
            resolve(body)
          }
        })
      })
      call.on('error', reject)
      call.end()
    })
  return { get: (path) => send('GET', path), send }
}

/** Debian's busybox, linked statically: a whole system for images FROM scratch. Undefined when there is none. */
export async function staticBusybox(): Promise<Buffer | undefined> {
  if (!installed('busybox', 'busybox-static')) return undefined
  const program = await readFile('/bin/busybox').catch(() => undefined)
  // A dynamic program asks for its interpreter by name.
  return program?.includes('/ld-linux') || program?.includes('/ld-musl') ? undefined : program
}
