/**
 * What the runtime asks of a Docker Engine, typed: Docker Engine API 1.41 (Docker 20.10) and later, which Podman's service
 * answers too. Answers are read with care; only what is used is named.
 */
import type { IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'
import type { Clock } from '../../../lib/clock.ts'
import type { TerminalSize } from '../runtime.ts'
import {
  EngineError,
  engineAddressText,
  engineHttp,
  type EngineAddress,
  type EngineHttp,
} from './engine-http.ts'
import { frameContents } from './frames.ts'
import { list, number, record, text, texts, type Json } from './json.ts'

export interface EngineFacts {
  /** `20.10.24`. */
  readonly version: string
  readonly apiVersion: string
  /** As `uname -m` says it: `x86_64`. */
  readonly machine: string
  readonly rootless: boolean
  /** It prefers BuildKit for building. */
  readonly buildKit: boolean
}

/** A container as a listing shows it. */
export interface ListedContainer {
  readonly id: string
  readonly labels: Readonly<Record<string, string>>
  /** `created`, `running`, `paused`, `exited`, `dead`… */
  readonly state: string
}

export interface InspectedContainer {
  readonly id: string
  readonly labels: Readonly<Record<string, string>>
  readonly running: boolean
  readonly paused: boolean
  readonly pid: number
  readonly exitCode: number
  readonly oomKilled: boolean
  /** It has a limit of memory. */
  readonly memoryLimited: boolean
  readonly error: string
  readonly startedAtMs: number
  readonly finishedAtMs: number
  /** Address by network. */
  readonly addresses: Readonly<Record<string, string>>
  /** Port of the machine by container port. */
  readonly hostPorts: Readonly<Record<number, number>>
  readonly stopSignal: string
  /** It runs on a terminal, so its output is not in frames. */
  readonly tty: boolean
  /** Its input is kept open. */
  readonly openStdin: boolean
}

export interface EngineImage {
  /** `sha256:…`. */
  readonly id: string
  readonly config: Json
}

export interface Engine extends Disposable {
  /** As in DOCKER_HOST. */
  readonly address: string
  readonly facts: EngineFacts
  loadImage(archive: AsyncIterable<Uint8Array>): Promise<void>
  /** Builds from a context; answers the engine's JSON lines as they come. */
  buildImage(
    context: AsyncIterable<Uint8Array>,
    query: Readonly<Record<string, string>>,
  ): AsyncIterable<Uint8Array>
  /** The archive of an image, as `docker save` writes it. */
  saveImage(reference: string): AsyncIterable<Uint8Array>
  /** By name or id; undefined when there is none. `config` is as in an OCI image's config. */
  image(reference: string): Promise<EngineImage | undefined>
  /** Tags below a repository. */
  images(repository: string): Promise<readonly string[]>
  /** Unknown ones, and those in use, are left. */
  removeImage(reference: string): Promise<void>
  /** Makes it unless it is there; answers its gateway's address, and whether it had to be made. */
  ensureNetwork(
    name: string,
    labels: Readonly<Record<string, string>>,
  ): Promise<{ readonly gateway: string; readonly made: boolean }>
  removeNetwork(name: string): Promise<void>
  /** Answers the id. A container of that name that is in the way is removed. */
  createContainer(name: string, body: Readonly<Record<string, unknown>>): Promise<string>
  startContainer(id: string): Promise<void>
  /** Undefined when there is none. */
  inspect(id: string): Promise<InspectedContainer | undefined>
  /** All containers with a label, whatever their state. */
  containers(label: string): Promise<readonly ListedContainer[]>
  /** Containers that do not run are ignored. */
  kill(id: string, signal: string): Promise<void>
  pause(id: string): Promise<void>
  unpause(id: string): Promise<void>
  /** Whatever its state, with its own volumes. Unknown ones are ignored. */
  remove(id: string): Promise<void>
  /** Resolves with the exit code once it does not run. */
  wait(id: string, signal: AbortSignal): Promise<number>
  /** Resolves once nothing is missed: all its output from now on, which it can't outrun, until it ends. */
  attach(id: string, signal: AbortSignal, tty?: boolean): Promise<AsyncIterable<Uint8Array>>
  /** What the engine has kept from its beginning, or from `sinceText` (seconds with a fraction), until it ends. */
  logs(id: string, sinceText: string, signal: AbortSignal): AsyncIterable<Uint8Array>
  memoryBytes(id: string): Promise<number>
  /** Processor time that the container has used, in nanoseconds. */
  cpuNanos(id: string): Promise<number>
  createExec(
    id: string,
    command: readonly string[],
    options?: { readonly stdin: boolean; readonly tty: boolean },
  ): Promise<string>
  /** Starts a command and hands over its streams: raw on a terminal, else output in frames (frames.ts). */
  openExec(execId: string, tty: boolean): Promise<Duplex>
  resizeExec(execId: string, size: TerminalSize): Promise<void>
  /** The streams of a container's own program, as those of a command. `all`: from its beginning. */
  openAttach(
    id: string,
    options: { readonly stdin: boolean; readonly all: boolean },
  ): Promise<Duplex>
  resize(id: string, size: TerminalSize): Promise<void>
  /** Output of a command, until it ends. */
  execOutput(execId: string, signal: AbortSignal): AsyncIterable<Uint8Array>
  inspectExec(execId: string): Promise<{ readonly exitCode: number; readonly pid: number }>
}

/** The newest API this client was written for. */
const newestApi = [1, 47] as const
const oldestApi = [1, 41] as const
/** Large images take their time. */
const loadLimitMs = 30 * 60_000

/** Speaks to the engine at an address. Rejects when nobody answers there, or one that is too old. */
export async function connectEngine(address: EngineAddress, clock: Clock): Promise<Engine> {
  const where = engineAddressText(address)
  const http = await negotiated(address, clock, where)
  try {
    const [version, info] = await Promise.all([
      http.client.json({ path: '/version' }).then(record),
      http.client.json({ path: '/info' }).then(record),
    ])
    return engine(http.client, where, {
      version: text(version['Version']),
      apiVersion: http.apiVersion,
      machine: text(info['Architecture']) || text(version['Arch']),
      rootless: list(info['SecurityOptions']).some((option) => text(option) === 'name=rootless'),
      buildKit: http.buildKit,
    })
  } catch (error) {
    http.client[Symbol.dispose]()
    throw error
  }
}

async function negotiated(
  address: EngineAddress,
  clock: Clock,
  where: string,
): Promise<{
  readonly client: EngineHttp
  readonly apiVersion: string
  readonly buildKit: boolean
}> {
  using any = engineHttp(address, '', clock)
  const pong = await any.stream({ path: '/_ping', timeoutMs: 5_000 })
  pong.destroy()
  const offered = /^(\d+)\.(\d+)$/.exec(String(pong.headers['api-version'] ?? ''))
  const [major, minor] = [Number(offered?.[1]), Number(offered?.[2])]
  if (!offered || major !== 1 || minor < oldestApi[1])
    throw new Error(
      `the engine at ${where} speaks version ${offered?.[0] ?? 'none'} of the Docker Engine API; ` +
        `expected ${oldestApi.join('.')} (Docker 20.10) or later`,
    )
  const apiVersion = `1.${Math.min(minor, newestApi[1])}`
  const buildKit = pong.headers['builder-version'] === '2'
  return { client: engineHttp(address, `/v${apiVersion}`, clock), apiVersion, buildKit }
}

function engine(http: EngineHttp, address: string, facts: EngineFacts): Engine {
  const post = (path: string, query: Readonly<Record<string, string>> = {}) =>
    http.json({ method: 'POST', path, query })

  return {
    address,
    facts,

    async loadImage(tar) {
      const answer = await http.stream({
        method: 'POST',
        path: '/images/load',
        query: { quiet: '1' },
        tar,
        timeoutMs: loadLimitMs,
      })
      // Trouble with the archive comes as a line of a successful answer.
      let said = ''
      for await (const chunk of answer as AsyncIterable<Buffer>)
        said = (said + chunk.toString('utf8')).slice(-64_000)
      for (const line of said.split('\n')) {
        const problem = text(record(parsed(line))['error'])
        if (problem !== '') throw new Error(problem)
      }
    },

    async *buildImage(context, query) {
      const call = { method: 'POST', path: '/build', query, tar: context, timeoutMs: 0 } as const
      yield* (await http.stream(call)) as AsyncIterable<Buffer>
    },

    async *saveImage(reference) {
      const path = `/images/${encodeReference(reference)}/get`
      yield* (await http.stream({ path, timeoutMs: loadLimitMs })) as AsyncIterable<Buffer>
    },

    async image(reference) {
      const path = `/images/${encodeReference(reference)}/json`
      const image = await found(http.json({ path }))
      if (image === undefined) return undefined
      const { Id, Config } = record(image)
      return { id: text(Id), config: record(Config) }
    },

    async images(repository) {
      const filters = JSON.stringify({ reference: [repository] })
      return list(await http.json({ path: '/images/json', query: { filters } })).flatMap((image) =>
        list(record(image)['RepoTags'])
          .map(text)
          .filter((tag) => tag.startsWith(`${repository}:`)),
      )
    },

    async removeImage(reference) {
      const path = `/images/${encodeReference(reference)}`
      await http.json({ method: 'DELETE', path }).catch(unless(404, 409))
    },

    async ensureNetwork(name, labels) {
      const path = `/networks/${name}`
      let network = await found(http.json({ path }))
      const made = network === undefined
      if (made) {
        const json = { Name: name, Driver: 'bridge', CheckDuplicate: true, Labels: labels }
        await http.json({ method: 'POST', path: '/networks/create', json })
        network = await http.json({ path })
      }
      const [subnet] = list(record(record(network)['IPAM'])['Config'])
      return { gateway: text(record(subnet)['Gateway']), made }
    },

    async removeNetwork(name) {
      await http.json({ method: 'DELETE', path: `/networks/${name}` }).catch(unless(404))
    },

    async createContainer(name, json) {
      const call = { method: 'POST', path: '/containers/create', query: { name }, json } as const
      const created = await http.json(call).catch(async (error: unknown) => {
        if (!(error instanceof EngineError) || error.status !== 409) throw error
        await this.remove(name) // left by a start that a crash cut short
        return await http.json(call)
      })
      return text(record(created)['Id'])
    },

    async startContainer(id) {
      await post(`/containers/${id}/start`)
    },

    async inspect(id) {
      const container = await found(http.json({ path: `/containers/${id}/json` }))
      return container === undefined ? undefined : inspected(container)
    },

    async containers(label) {
      const filters = JSON.stringify({ label: [label] })
      const answer = await http.json({ path: '/containers/json', query: { all: '1', filters } })
      return list(answer).map((item) => {
        const { Id, Labels, State } = record(item)
        return { id: text(Id), labels: texts(Labels), state: text(State) }
      })
    },

    async kill(id, signal) {
      await post(`/containers/${id}/kill`, { signal }).catch(async (error: unknown) => {
        // Engines differ in how they say that it has ended.
        if (!(error instanceof EngineError) || (await this.inspect(id))?.running) throw error
      })
    },

    async pause(id) {
      await post(`/containers/${id}/pause`).catch(unless(404, 409))
    },

    async unpause(id) {
      // Docker answers 500 for a container that is not paused.
      await post(`/containers/${id}/unpause`).catch(unless(404, 409, 500))
    },

    async remove(id) {
      const call = {
        method: 'DELETE',
        path: `/containers/${id}`,
        query: { force: '1', v: '1' },
      } as const
      // 409: somebody else is removing it.
      await http.json(call).catch(unless(404, 409))
    },

    async wait(id, signal) {
      const answer = await http.stream({
        method: 'POST',
        path: `/containers/${id}/wait`,
        query: { condition: 'not-running' },
        timeoutMs: 0,
        signal,
      })
      return number(record(parsed(await whole(answer)))['StatusCode'])
    },

    async attach(id, signal, tty = false) {
      const query = { stream: '1', stdout: '1', stderr: '1' }
      const path = `/containers/${id}/attach`
      const answer = await http.stream({ method: 'POST', path, query, signal })
      return tty ? answer : frameContents(answer)
    },

    async *logs(id, sinceText, signal) {
      const query = {
        follow: '1',
        stdout: '1',
        stderr: '1',
        ...(sinceText && { since: sinceText }),
      }
      const tty = (await this.inspect(id))?.tty
      const answer = await http.stream({ path: `/containers/${id}/logs`, query, signal })
      if (tty) yield* answer
      else yield* frameContents(answer)
    },

    async memoryBytes(id) {
      const query = { stream: '0', 'one-shot': '1' }
      const { memory_stats } = record(await http.json({ path: `/containers/${id}/stats`, query }))
      const { usage, stats } = record(memory_stats)
      const { inactive_file, total_inactive_file } = record(stats)
      return Math.max(0, number(usage) - (number(inactive_file) || number(total_inactive_file)))
    },

    async cpuNanos(id) {
      const query = { stream: '0', 'one-shot': '1' }
      const { cpu_stats } = record(await http.json({ path: `/containers/${id}/stats`, query }))
      return number(record(record(cpu_stats)['cpu_usage'])['total_usage'])
    },

    async createExec(id, command, { stdin, tty } = { stdin: false, tty: false }) {
      const json = {
        AttachStdin: stdin,
        AttachStdout: true,
        AttachStderr: true,
        Tty: tty,
        ...(tty && { Env: ['TERM=xterm'] }),
        Cmd: command,
      }
      const path = `/containers/${id}/exec`
      return text(record(await http.json({ method: 'POST', path, json }))['Id'])
    },

    async *execOutput(execId, signal) {
      const json = { Detach: false, Tty: false }
      const path = `/exec/${execId}/start`
      yield* frameContents(await http.stream({ method: 'POST', path, json, signal }))
    },

    async openExec(execId, tty) {
      const json = { Detach: false, Tty: tty }
      return await http.hijack({ method: 'POST', path: `/exec/${execId}/start`, json })
    },

    async resizeExec(execId, { width, height }) {
      await post(`/exec/${execId}/resize`, { w: String(width), h: String(height) })
    },

    async openAttach(id, { stdin, all }) {
      const query = {
        stream: '1',
        stdout: '1',
        stderr: '1',
        ...(stdin && { stdin: '1' }),
        ...(all && { logs: '1' }),
      }
      return await http.hijack({ method: 'POST', path: `/containers/${id}/attach`, query })
    },

    async resize(id, { width, height }) {
      await post(`/containers/${id}/resize`, { w: String(width), h: String(height) })
    },

    async inspectExec(execId) {
      const { ExitCode, Pid } = record(await http.json({ path: `/exec/${execId}/json` }))
      return { exitCode: number(ExitCode), pid: number(Pid) }
    },

    [Symbol.dispose]: () => http[Symbol.dispose](),
  }
}

function inspected(value: unknown): InspectedContainer {
  const { Id, State, Config, HostConfig, NetworkSettings } = record(value)
  const state = record(State)
  const { Networks, Ports } = record(NetworkSettings)
  return {
    id: text(Id),
    labels: texts(record(Config)['Labels']),
    running: state['Running'] === true,
    paused: state['Paused'] === true,
    pid: number(state['Pid']),
    exitCode: number(state['ExitCode']),
    oomKilled: state['OOMKilled'] === true,
    memoryLimited: number(record(HostConfig)['Memory']) > 0,
    error: text(state['Error']),
    startedAtMs: timeMs(state['StartedAt']),
    finishedAtMs: timeMs(state['FinishedAt']),
    addresses: Object.fromEntries(
      Object.entries(record(Networks)).map(([name, network]) => [
        name,
        text(record(network)['IPAddress']),
      ]),
    ),
    hostPorts: Object.fromEntries(
      Object.entries(record(Ports)).flatMap(([port, bindings]) => {
        const hostPort = Number(text(record(list(bindings)[0])['HostPort']))
        return hostPort > 0 ? [[Number.parseInt(port, 10), hostPort]] : []
      }),
    ),
    stopSignal: text(record(Config)['StopSignal']),
    tty: record(Config)['Tty'] === true,
    openStdin: record(Config)['OpenStdin'] === true,
  }
}

/** 0 for what never was: Go writes year 1. */
const timeMs = (value: unknown): number => Math.max(0, Date.parse(text(value)) || 0)

/** Slashes and colons of a reference are part of the path here. */
const encodeReference = (reference: string): string =>
  reference.split('/').map(encodeURIComponent).join('/')

async function found(answer: Promise<unknown>): Promise<unknown> {
  try {
    return await answer
  } catch (error) {
    if (error instanceof EngineError && error.status === 404) return undefined
    throw error
  }
}

/** For `catch`: lets these statuses pass. */
const unless =
  (...statuses: readonly number[]) =>
  (error: unknown): void => {
    if (!(error instanceof EngineError) || !statuses.includes(error.status)) throw error
  }

function parsed(line: string): unknown {
  try {
    return JSON.parse(line)
  } catch {
    return undefined
  }
}

async function whole(answer: IncomingMessage): Promise<string> {
  let said = ''
  for await (const chunk of answer as AsyncIterable<Buffer>) said += chunk.toString('utf8')
  return said
}
