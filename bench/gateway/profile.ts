/**
 * Where the gateway's time goes: `perf` (Debian: linux-perf) looks at it 2,000 times a second while it serves 50 connections.
 * `npm run bench -- profile` prints shares of its CPU time; native code and the kernel count for themselves, a JavaScript function
 * without what it calls.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { join } from 'node:path'
import type { Row } from '../row.ts'
import { load } from './load.ts'
import { available, output, Peers } from './peers.ts'

const shown = 25

export async function rows({ connections = 50, seconds = 5 } = {}): Promise<Row[]> {
  if (!available('where the time goes', ['perf', 'linux-perf'])) return []
  using peers = new Peers()
  const app = await peers.app('hello')
  const gateway = await peers.gateway({
    appPort: app.port,
    nodeFlags: ['--perf-basic-prof', '--interpreted-frames-native-stack'],
  })
  const press = (forSeconds: number) =>
    load(peers, { port: gateway.port, connections, seconds: forSeconds })
  await press(2)
  const data = join(peers.folder, 'perf.data')
  const events = ['-e', 'cpu-clock', '-F', '2000', '-g', '-o', data]
  const perf = spawn('perf', ['record', '-q', ...events, '-p', gateway.pids.join(',')], {
    stdio: 'ignore',
  })
  await press(seconds)
  await interrupted(perf)
  const text = await output(
    peers.start(undefined, 'perf', ['script', '-i', data, '-F', 'comm,ip,sym,dso']),
  )
  return shares(text)
}

/** Shares of what `perf script -F comm,ip,sym,dso` printed: by kind, then by function. */
export function shares(text: string): Row[] {
  const kinds = new Map<string, number>()
  const functions = new Map<string, number>()
  let samples = 0
  for (const block of text.split('\n\n')) {
    const frames = block
      .trim()
      .split('\n')
      .slice(1)
      .flatMap((line) => {
        const match = /^\s*[0-9a-f]+ (.*) \((.*)\)$/.exec(line)
        return match ? [{ name: match[1] ?? '', file: match[2] ?? '' }] : []
      })
    const [top] = frames
    if (!top) continue
    samples++
    const kind = kindOf(top, block)
    count(kinds, kind)
    const user = frames.find(({ file }) => !file.includes('kernel'))
    count(functions, kind === 'kernel' ? `kernel, called by ${user?.name ?? '?'}` : top.name)
  }
  const row = ([name, hits]: [string, number]): Row => ({
    name,
    value: (hits / samples) * 100,
    unit: '%',
  })
  const most = (from: ReadonlyMap<string, number>): [string, number][] =>
    [...from].toSorted(([, a], [, b]) => b - a)
  return [
    ...most(kinds).map((entry) => row([`all: ${entry[0]}`, entry[1]])),
    ...most(functions)
      .slice(0, shown)
      .map(([name, hits]) => row([short(name), hits])),
  ]
}

function kindOf({ name, file }: { name: string; file: string }, block: string): string {
  if (file.includes('kernel')) return 'kernel'
  if (/Scaveng|MarkCompact|Marking|Sweeper|GarbageCollector|Heap::/.test(block))
    return 'garbage collection'
  if (!name.startsWith('JS:')) return 'Node, V8 and libuv, native'
  return name.includes('/src/') ? 'gateway, JavaScript' : 'Node, JavaScript'
}

const count = (into: Map<string, number>, key: string): void =>
  void into.set(key, (into.get(key) ?? 0) + 1)

/** `JS:*'parseFields file:///…/src/lib/http1/head.ts:211:21` → `parseFields lib/http1/head.ts`. */
const short = (name: string): string =>
  name
    .replace(/^JS:[*+^~']*/, '')
    .replace(/file:\/\/.*\/src\//, '')
    .replace(/:\d+:\d+$/, '')
    .replaceAll('|', ' ')

function interrupted(child: ChildProcess): Promise<void> {
  return new Promise((resolve) => {
    child.on('close', () => resolve())
    child.kill('SIGINT')
  })
}
