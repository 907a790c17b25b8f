/**
 * Container logs: raw bytes in one file an attempt, written by the containers themselves so that they outlive
 * everything else, and beside it a list of (size, time) pairs that the node agent notes as the file grows. From it
 * come timestamps and `--since`. When a log grows too large its beginning is given back to the disk: the file stays,
 * offsets stay, only the blocks go.
 */
import { spawn } from 'node:child_process'
import { watch, type FSWatcher } from 'node:fs'
import {
  appendFile,
  open,
  readdir,
  readFile,
  rename,
  rm,
  stat,
  truncate,
  writeFile,
} from 'node:fs/promises'
import { join } from 'node:path'
import { sleep, type Clock } from '../../../lib/clock.ts'
import type { KubeObject } from '../../api/meta.ts'
import { badRequest } from '../../api/status-error.ts'
import { findOnHost } from '../process/executable.ts'
import { logLines, type Mark } from './log-lines.ts'

/** Query parameters of `pods/log`. The same shape as the API server's. */
export interface PodLogOptions {
  readonly follow: boolean
  readonly previous: boolean
  readonly timestamps: boolean
  readonly tailLines?: number
  readonly limitBytes?: number
  /** Lines written at or after this moment, milliseconds since the epoch. */
  readonly sinceMs?: number
}

/** Container logs, kept by the node agent and read by the API server. */
export interface PodLogs extends Disposable {
  /**
   * Raw bytes of one container's log, whole lines. With `follow` it ends when the container ends. Throws StatusError
   * (BadRequest) when there is no such log, before the first chunk.
   */
  read(
    pod: KubeObject,
    container: string,
    options: PodLogOptions,
    signal: AbortSignal,
  ): AsyncIterable<Uint8Array>
  /** Where an attempt's log goes. */
  path(pod: KubeObject, container: string, attempt: number): string
  /** From now on the log is being written: growth is noted, its size is bounded. Older attempts but the last are dropped. */
  opened(pod: KubeObject, container: string, attempt: number): Promise<void>
  /** The container has ended: followers end once they have read everything. */
  closed(pod: KubeObject, container: string, attempt: number): void
  /** The end of a log for `terminationMessage`: at most 2048 bytes and 80 lines. */
  tail(pod: KubeObject, container: string, attempt: number): Promise<string>
  /** Drops all logs of a pod. */
  remove(pod: KubeObject): Promise<void>
}

export interface PodLogsOptions {
  readonly dataDir: string
  readonly clock: Clock
  /** Beyond this much the beginning of a log is dropped. Default 10 MiB, as the kubelet's. */
  readonly maxBytes?: number
}

const tailBytes = 2048
const tailLines = 80
/** Growth within this time counts as one: bounds the list of marks. */
const markEveryMs = 5
/** Followers look this often in case no notification comes. */
const pollMs = 250

interface Writing {
  readonly path: string
  /** What a previous control plane noted is known. */
  ready: Promise<void>
  watcher: FSWatcher | undefined
  size: number
  /** Offset of the first byte that was not given back; told before that is done. */
  start: number
  open: boolean
  /** Settles when the growth that is being looked at is noted. */
  noting: Promise<void> | undefined
  again: boolean
  readonly listeners: Set<() => void>
}

/** Opens `<dataDir>/logs/pods`. */
export function openPodLogs({ dataDir, clock, maxBytes = 10 << 20 }: PodLogsOptions): PodLogs {
  const root = join(dataDir, 'logs', 'pods')
  const writing = new Map<string, Writing>()
  const fallocate = findOnHost('fallocate')

  const folderOf = ({ metadata }: KubeObject) =>
    join(root, `${metadata.namespace ?? ''}_${metadata.name}_${metadata.uid ?? ''}`)
  const pathOf = (pod: KubeObject, container: string, attempt: number) =>
    join(folderOf(pod), container, `${attempt}.log`)

  const note = (log: Writing): Promise<void> => {
    log.again = true
    log.noting ??= noteGrowth(log).finally(() => (log.noting = undefined))
    return log.noting
  }

  const noteGrowth = async (log: Writing): Promise<void> => {
    try {
      do {
        log.again = false
        const { size } = await stat(log.path)
        if (size < log.size) log.start = log.size = 0 // cut to nothing, see dropBeginning
        if (size > log.size) {
          log.size = size
          await appendFile(`${log.path}.marks`, `${size} ${clock.now()}\n`)
          for (const listener of log.listeners) listener()
          if (size - log.start > maxBytes * 2) await dropBeginning(log)
          await sleep(clock, markEveryMs)
        }
      } while (log.again)
    } catch {
      // The pod, and with it the log, was removed meanwhile; or the disk is full and timestamps become coarser.
    }
  }

  /** Gives the blocks before the last `maxBytes` back; where that can't be done the file is cut to nothing. */
  const dropBeginning = async (log: Writing): Promise<void> => {
    const block = 1 << 16
    const upTo = Math.floor((log.size - maxBytes) / block) * block
    const holes = ['--punch-hole', '--offset', '0', '--length', String(upTo), log.path]
    // Told before it is done: who reads meanwhile looks afterwards whether what was read was still there.
    await startAt(log, upTo)
    if (fallocate !== undefined && (await run(fallocate, holes))) return
    await truncate(log.path, 0)
    log.size = 0
    await startAt(log, 0)
  }

  /** Notes where the log begins from now on. */
  const startAt = async (log: Writing, start: number): Promise<void> => {
    log.start = start
    const marks = await readMarks(log.path)
    const kept = marks.filter(({ size }) => size > start && size <= log.size)
    // All of it or nothing: a reader may look at any moment.
    await writeFile(
      `${log.path}.marks.new`,
      `start ${start}\n${kept.map(({ size, timeMs }) => `${size} ${timeMs}\n`).join('')}`,
    )
    await rename(`${log.path}.marks.new`, `${log.path}.marks`)
  }

  const logs: PodLogs = {
    path: pathOf,

    async opened(pod, container, attempt) {
      const path = pathOf(pod, container, attempt)
      if (writing.has(path)) return
      const log: Writing = {
        path,
        ready: Promise.resolve(),
        watcher: undefined,
        size: 0,
        start: 0,
        open: true,
        noting: undefined,
        again: false,
        listeners: new Set(),
      }
      log.ready = (async () => {
        const noted = await readNoted(path)
        log.size = marksIn(noted).at(-1)?.size ?? 0
        log.start = startIn(noted)
      })()
      writing.set(path, log)
      await log.ready
      try {
        log.watcher = watch(path, { persistent: false }, () => void note(log))
        log.watcher.on('error', () => log.watcher?.close())
      } catch {
        // No inotify instance is left, or the file is gone: the log is read all the same.
      }
      void note(log)
      if (attempt < 2) return // nothing is old yet
      for (const file of await readdir(join(path, '..')).catch(() => [])) {
        const number = Number.parseInt(file, 10)
        if (number < attempt - 1) await rm(join(path, '..', file), { force: true })
      }
    },

    closed(pod, container, attempt) {
      const path = pathOf(pod, container, attempt)
      const log = writing.get(path)
      if (!log) return
      log.watcher?.close()
      void note(log).finally(() => {
        log.open = false
        if (writing.get(path) === log) writing.delete(path)
        for (const listener of log.listeners) listener()
      })
    },

    async tail(pod, container, attempt) {
      return lastLines(await readEnd(pathOf(pod, container, attempt), tailBytes))
    },

    async remove(pod) {
      const folder = folderOf(pod)
      for (const [path, log] of writing) {
        if (!path.startsWith(`${folder}/`)) continue
        log.watcher?.close()
        log.open = false
        writing.delete(path)
        for (const listener of log.listeners) listener()
      }
      await rm(folder, { recursive: true, force: true })
    },

    async *read(pod, container, options, signal) {
      const folder = join(folderOf(pod), container)
      const attempts = (await readdir(folder).catch(() => []))
        .filter((file) => file.endsWith('.log'))
        .map((file) => Number.parseInt(file, 10))
        .sort((a, b) => b - a)
      const attempt = attempts[options.previous ? 1 : 0]
      if (attempt === undefined) {
        if (options.previous)
          throw badRequest(
            `previous terminated container "${container}" in pod "${pod.metadata.name}" not found`,
          )
        throw badRequest(`unable to retrieve container logs for ${container}: no log file`)
      }
      const path = join(folder, `${attempt}.log`)
      const live = writing.get(path)
      await live?.ready
      const start = live ? 0 : await startOf(path)
      yield* logLines({
        path,
        start: () => live?.start ?? start,
        marks: () => readMarks(path),
        options,
        nowMs: () => clock.now(),
        grown: () => growth(live),
        signal,
      })

      /** Resolves true when there may be more to read, false when there never will be. */
      function growth(log: Writing | undefined): Promise<boolean> {
        if (!options.follow || !log || !log.open || signal.aborted) return Promise.resolve(false)
        return new Promise((resolve) => {
          const finish = () => {
            cancel()
            log.listeners.delete(finish)
            signal.removeEventListener('abort', finish)
            resolve(!signal.aborted)
          }
          const cancel = clock.after(pollMs, finish)
          log.listeners.add(finish)
          signal.addEventListener('abort', finish, { once: true })
        })
      }
    },

    [Symbol.dispose]() {
      for (const log of writing.values()) {
        log.watcher?.close()
        log.open = false
        for (const listener of log.listeners) listener()
      }
      writing.clear()
    },
  }
  return logs
}

const readMarks = async (path: string): Promise<readonly Mark[]> => marksIn(await readNoted(path))

/** Offset of the first byte that was not given back. */
const startOf = async (path: string): Promise<number> => startIn(await readNoted(path))

const readNoted = (path: string): Promise<string> =>
  readFile(`${path}.marks`, 'utf8').catch(() => '')

function marksIn(text: string): readonly Mark[] {
  return text.split('\n').flatMap((line) => {
    const [size, time] = line.split(' ').map(Number)
    return size !== undefined && time !== undefined && size > 0 && time > 0
      ? [{ size, timeMs: time }]
      : []
  })
}

const startIn = (text: string): number => Number(/^start (\d+)$/m.exec(text)?.[1] ?? 0)

async function readEnd(path: string, limitBytes: number): Promise<Buffer> {
  const file = await open(path, 'r').catch(() => undefined)
  if (!file) return Buffer.alloc(0)
  try {
    const { size } = await file.stat()
    const buffer = Buffer.alloc(Math.min(size, limitBytes))
    const { bytesRead } = await file.read(buffer, 0, buffer.length, Math.max(0, size - limitBytes))
    return buffer.subarray(0, bytesRead)
  } finally {
    await file.close()
  }
}

function lastLines(bytes: Buffer): string {
  const text = bytes.toString('utf8')
  const ended = text.endsWith('\n')
  const lines = (ended ? text.slice(0, -1) : text).split('\n')
  return lines.slice(-tailLines).join('\n') + (ended ? '\n' : '')
}

function run(program: string, args: readonly string[]): Promise<boolean> {
  return new Promise((resolve) => {
    const child = spawn(program, args, { stdio: 'ignore', env: {} })
    child.once('error', () => resolve(false))
    child.once('exit', (code) => resolve(code === 0))
  })
}
