/** A platform of its own for each end-to-end test: real processes, real kubectl, ports and directory of its own. */
import { execFile, spawn, type ChildProcess } from 'node:child_process'
import { existsSync, readdirSync, readFileSync, realpathSync } from 'node:fs'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { Agent, request as httpRequest } from 'node:http'
import { tmpdir } from 'node:os'
import { delimiter, dirname, join } from 'node:path'

const root = join(import.meta.dirname, '..', '..')
export const ebbScript = join(root, 'bin', 'ebb.js')
export const bookDir = join(root, 'test', 'book')
export const appDir = (name: string): string => join(root, 'test', 'apps', name)

export interface Ran {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

/** Runs a program to its end; never throws for an exit code. */
export function run(
  file: string,
  args: readonly string[],
  options: { env?: NodeJS.ProcessEnv; input?: string; timeoutMs?: number } = {},
): Promise<Ran> {
  return new Promise((resolve) => {
    const child = execFile(
      file,
      [...args],
      {
        env: { ...process.env, ...options.env },
        timeout: options.timeoutMs ?? 60_000,
        maxBuffer: 64 << 20,
      },
      (error, stdout, stderr) => {
        const code = error ? (typeof error.code === 'number' ? error.code : 1) : 0
        resolve({ code, stdout, stderr })
      },
    )
    if (options.input !== undefined) child.stdin?.end(options.input)
  })
}

/** For programs in Go that are over before their garbage matters: a fifth less work for kubectl. */
export const soonOver = { GOGC: '400', GOMAXPROCS: '1' } as const

export interface Answer {
  readonly status: number
  readonly headers: NodeJS.Dict<string | string[]>
  readonly body: string
}

interface ListenAddress {
  readonly host: string
  readonly port: number
}

export interface Ebb extends AsyncDisposable {
  readonly dataDir: string
  readonly api: string
  readonly gateway: ListenAddress
  /** Where names of the cluster are served for this machine. */
  readonly local: ListenAddress
  readonly pid: number
  readonly kubeconfig: string
  /** Runs the newest kubectl found (or the named one) against this platform. */
  kubectl(...args: readonly string[]): Promise<Ran>
  kubectlWith(binary: string, args: readonly string[], input?: string): Promise<Ran>
  /** kubectl that must succeed; answers its stdout. */
  ok(...args: readonly string[]): Promise<string>
  /** `ebb COMMAND …` with this platform's data directory. */
  ebb(...args: readonly string[]): Promise<Ran>
  /** One request through the gateway with this Host header. */
  get(
    host: string,
    path?: string,
    options?: { timeoutMs?: number; headers?: Record<string, string> },
  ): Promise<Answer>
  /** Builds test/apps/NAME under the given image name. */
  build(app: string, image: string): Promise<void>
  /** Writes a file beside the platform's data and answers its path. */
  file(name: string, text: string): Promise<string>
  /** Kills the control plane with -9 and waits until it is gone. */
  kill(): Promise<void>
  /** Starts it again on the same directory, with these flags besides. */
  restart(...args: readonly string[]): Promise<void>
  /** What `ebb up` printed so far. */
  readonly output: string
}

/** kubectl binaries by version, oldest first: from the PATH's folders and from where its kubectl really lies. */
export function kubectls(): readonly string[] {
  const path = (process.env['PATH'] ?? '').split(delimiter)
  const real = path
    .map((folder) => join(folder, 'kubectl'))
    .filter((file) => existsSync(file))
    .map((file) => dirname(realpathSync(file)))
  const folders = [...path, ...real]
  const versioned = folders
    .filter((folder) => existsSync(folder))
    .flatMap((folder) =>
      readdirSync(folder)
        .filter((name) => /^kubectl\.1\.\d+$/.test(name))
        .map((name) => join(folder, name)),
    )
  if (versioned.length > 0)
    return [...new Set(versioned)].toSorted(
      (a, b) => Number(a.split('.').at(-1)) - Number(b.split('.').at(-1)),
    )
  const plain = folders.map((folder) => join(folder, 'kubectl')).find((path) => existsSync(path))
  return plain ? [plain] : []
}

/** The reason for skipping tests that need kubectl, or false when there is one. */
export const withoutKubectl: string | false =
  kubectls().length === 0 && 'no kubectl on this machine: put one on the PATH to run this test'

export async function startEbb(
  options: { args?: readonly string[]; env?: Readonly<Record<string, string>> } = {},
): Promise<Ebb> {
  const dataDir = await mkdtemp(join(tmpdir(), 'ebb-e2e-'))
  const kubeconfig = join(dataDir, 'kubeconfig')
  const agent = new Agent({ keepAlive: true, maxSockets: 256 })
  let child: ChildProcess
  let output = ''
  let endpoints: { api: string; gateway?: string; gatewayLocal?: string; pid: number }

  const start = async (...more: readonly string[]) => {
    output = ''
    child = spawn(
      process.execPath,
      [
        ebbScript,
        'up',
        '--data-dir',
        dataDir,
        '--api',
        '127.0.0.1:0',
        '--gateway',
        '127.0.0.1:0',
        ...(options.args ?? []),
        ...more,
      ],
      { stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, ...options.env } },
    )
    child.stdout?.on('data', (chunk: Buffer) => (output += chunk))
    child.stderr?.on('data', (chunk: Buffer) => (output += chunk))
    await until('ebb up is ready', () => {
      if (child.exitCode !== null) throw new Error(`ebb up ended: ${output}`)
      return output.includes('Ready in')
    })
    endpoints = JSON.parse(
      await readFile(join(dataDir, 'endpoints.json'), 'utf8'),
    ) as typeof endpoints
  }
  const ended = () =>
    new Promise<void>((resolve) => {
      if (child.exitCode !== null || child.signalCode !== null) resolve()
      else child.once('exit', () => resolve())
    })
  const kubectlWith = (binary: string, args: readonly string[], input?: string) =>
    run(binary, args, {
      env: { ...soonOver, KUBECONFIG: kubeconfig, KUBE_EDITOR: 'true', HOME: dataDir },
      ...(input !== undefined && { input }),
    })
  const newest = kubectls().at(-1) ?? 'kubectl'
  await start()

  const ebb: Ebb = {
    dataDir,
    kubeconfig,
    get api() {
      return endpoints.api
    },
    get gateway() {
      return addressOf(endpoints.gateway)
    },
    get local() {
      return addressOf(endpoints.gatewayLocal)
    },
    get pid() {
      return endpoints.pid
    },
    get output() {
      return output
    },
    kubectlWith,
    kubectl: (...args) => kubectlWith(newest, args),
    async ok(...args) {
      const ran = await kubectlWith(newest, args)
      if (ran.code !== 0) throw new Error(`kubectl ${args.join(' ')}: ${ran.stderr || ran.stdout}`)
      return ran.stdout
    },
    ebb: (command, ...args) =>
      run(process.execPath, [ebbScript, command ?? 'help', ...args, '--data-dir', dataDir], {
        ...(options.env && { env: options.env }),
      }),
    get: (host, path = '/', options = {}) =>
      request(ebb.gateway, host, { path, agent, ...options }),
    async build(app, image) {
      const ran = await ebb.ebb('build', appDir(app), '--tag', image)
      if (ran.code !== 0) throw new Error(`ebb build ${app}: ${ran.stderr}`)
    },
    async file(name, text) {
      const path = join(dataDir, name)
      await writeFile(path, text)
      return path
    },
    async kill() {
      process.kill(endpoints.pid, 'SIGKILL')
      await ended()
    },
    restart: start,
    async [Symbol.asyncDispose]() {
      agent.destroy()
      if (child.exitCode === null && child.signalCode === null) child.kill('SIGTERM')
      else await ebb.ebb('down')
      await ended()
      await rm(dataDir, { recursive: true, force: true, maxRetries: 5 })
    },
  }
  return ebb
}

function addressOf(url = 'http://127.0.0.1:0'): ListenAddress {
  const { hostname, port } = new URL(url)
  return { host: hostname, port: Number(port) }
}

/** One request to a gateway with this Host header. Rejects when the connection fails or nothing comes in time. */
export function request(
  gateway: ListenAddress,
  host: string,
  {
    path = '/',
    method = 'GET',
    agent,
    timeoutMs = 30_000,
    headers = {},
    body,
  }: {
    path?: string
    method?: string
    agent?: Agent
    timeoutMs?: number
    headers?: Readonly<Record<string, string>>
    body?: string
  } = {},
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const call = httpRequest(
      {
        ...gateway,
        path,
        method,
        ...(agent && { agent }),
        headers: { ...headers, host },
        timeout: timeoutMs,
      },
      (response) => {
        let text = ''
        response.setEncoding('utf8')
        response.on('data', (chunk: string) => (text += chunk))
        response.on('error', reject)
        response.on('end', () =>
          resolve({ status: response.statusCode ?? 0, headers: response.headers, body: text }),
        )
      },
    )
    call.on('timeout', () => call.destroy(new Error(`no answer from ${host} in ${timeoutMs} ms`)))
    call.on('error', reject)
    call.end(body)
  })
}

/**
 * Waits until `check` answers something true; throws with `what` and the last error after the time. Between looks it rests
 * twice as long as a look took, a quarter of a second at the most: what is looked at by a program must not keep busy the
 * machine that it waits for.
 */
export async function until<T>(
  what: string,
  check: () => T | Promise<T>,
  timeoutMs = 60_000,
): Promise<Exclude<T, false | null | undefined>> {
  const end = performance.now() + timeoutMs
  for (;;) {
    const start = performance.now()
    const value = await check()
    if (value) return value as Exclude<T, false | null | undefined>
    const now = performance.now()
    if (now > end) throw new Error(`timed out after ${timeoutMs} ms: ${what}`)
    await new Promise((resolve) =>
      setTimeout(resolve, Math.min(250, Math.max(25, 2 * (now - start)))),
    )
  }
}

/** Sets keys of a ConfigMap in knative-serving; they take effect without a restart. */
export const configure = (
  ebb: Ebb,
  map: string,
  data: Record<string, string | null>,
): Promise<string> =>
  ebb.ok(
    '-n',
    'knative-serving',
    'patch',
    'cm',
    map,
    '--type=merge',
    '-p',
    JSON.stringify({ data }),
  )

/** Shortens idle times, so that minutes of the documentation take seconds. */
export const hurry = (ebb: Ebb): Promise<string> =>
  configure(ebb, 'config-autoscaler', {
    'stable-window': '6s',
    'scale-to-zero-grace-period': '1s',
  })

/** Closed-loop load as `hey -z -c` makes it: answers the statuses counted. */
export async function load(
  ebb: Ebb,
  host: string,
  { path = '/', workers = 50, durationMs = 30_000 } = {},
): Promise<{ readonly statuses: ReadonlyMap<number, number>; readonly errors: readonly string[] }> {
  const statuses = new Map<number, number>()
  const errors: string[] = []
  const end = performance.now() + durationMs
  const worker = async () => {
    while (performance.now() < end) {
      try {
        const { status } = await ebb.get(host, path)
        statuses.set(status, (statuses.get(status) ?? 0) + 1)
      } catch (error) {
        errors.push((error as Error).message)
      }
    }
  }
  await Promise.all(Array.from({ length: workers }, worker))
  return { statuses, errors }
}

/** Pids of processes whose command line or environment names `text` (Linux). */
export function processesMentioning(text: string): readonly number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid)
    .filter((pid) =>
      ['cmdline', 'environ'].some((file) => readQuietly(`/proc/${pid}/${file}`).includes(text)),
    )
    .map(Number)
}

function readQuietly(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return ''
  }
}
