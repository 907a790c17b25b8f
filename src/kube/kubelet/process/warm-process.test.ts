/**
 * A process that began as an idle interpreter against one started afresh: the same programs run both ways, and what they
 * say and how they end must be equal. What differs is named here and in docs/guide/warm-interpreters.md.
 */
import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { systemClock, sleep } from '../../../lib/clock.ts'
import { silent } from '../../../lib/log.ts'
import { processRuntime, type ProcessRuntime } from './process-runtime.ts'
import { runtimeContract } from '../runtime.contract.ts'
import type { Container, ContainerExit, ContainerSpec, ImageHandle } from '../runtime.ts'

/** What a process knows of itself. No timers that differ, no ids. */
const facts = `
const { readdirSync, readlinkSync, readFileSync } = fs
const stat = readFileSync('/proc/self/stat', 'latin1').split(') ')[1].split(' ')
const status = Object.fromEntries(readFileSync('/proc/self/status', 'latin1').trim().split('\\n').map((line) => line.split(':\\t')))
const fds = readdirSync('/proc/self/fd').flatMap((fd) => {
  try { return [(fd < 3 ? fd + ' ' : '') + readlinkSync('/proc/self/fd/' + fd).replace(/\\d{2,}/, 'N')] } catch { return [] }
}).filter((text) => !/^(\\/proc|anon_inode:\\[io_uring|pipe|.*eventpoll|.*eventfd|\\/dev\\/null)/.test(text))
let late = false
const started = performance.now()
setTimeout(() => {
  const env = { ...process.env }
  delete env.EBB_CONTAINER_ID; delete env.EBB_POD_UID; delete env.HOME; delete env.TMPDIR; delete env.HOSTNAME
  console.log(JSON.stringify({
    timerWaited: performance.now() - started >= 19,
    argv: process.argv, argv0: process.argv0, execArgv: process.execArgv, execPath: process.execPath,
    title: process.title, cwd: process.cwd(), env, envKeysOfPool: Object.keys(process.env).filter((key) => /IDLE/.test(key)),
    marked: /^[0-9a-f]{64}$/.test(process.env.EBB_CONTAINER_ID), umask: process.umask(),
    leads: [Number(stat[2]) === process.pid, Number(stat[3]) === process.pid], parent: process.ppid,
    tty: stat[4], ids: [process.getuid(), process.getgid(), process.geteuid(), process.getgroups()],
    connected: process.connected, send: typeof process.send, channel: process.channel,
    fds: fds.sort(), signals: [status.SigBlk, status.SigIgn, status.SigCgt], caps: status.CapEff, name: status.Name,
    priority: stat[16], limits: readFileSync('/proc/self/limits', 'latin1'),
    oom: readFileSync('/proc/self/oom_score_adj', 'latin1'),
    listeners: process.eventNames().map((name) => [String(name), process.listenerCount(name)]).sort(),
    exitCode: process.exitCode, resources: process.getActiveResourcesInfo(),
    globals: Object.getOwnPropertyNames(globalThis).sort(), processKeys: Object.getOwnPropertyNames(process).sort(),
    locale: Intl.DateTimeFormat().resolvedOptions().locale, zone: new Date(0).getHours(),
    stackTraceLimit: Error.stackTraceLimit, prepare: typeof Error.prepareStackTrace,
    stdout: process.stdout.constructor.name, stdin: process.stdin.constructor.name,
    sourceMaps: process.sourceMapsEnabled, compileCache: require('node:module').getCompileCacheDir?.(),
    agentSockets: Object.keys(require('node:http').globalAgent.sockets), main,
  }))
  process.stdin.destroy()
}, 20)`
const cjs = `const fs = require('node:fs')
const main = { isMain: require.main === module, id: module.id, parent: module.parent ?? null,
  children: module.children.length, paths: module.paths.length, cache: Object.keys(require.cache), file: __filename,
  mainModule: process.mainModule === module, pathCache: Object.keys(module.constructor._pathCache).filter((key) => /ebb|warm|idle/.test(key) && !key.includes('rootfs')) }`
const esm = `import fs from 'node:fs'
import { createRequire } from 'node:module'
const require = createRequire(import.meta.url)
const main = { isMain: import.meta.main, url: import.meta.url, file: import.meta.filename, cache: Object.keys(require.cache),
  requireMain: require.main ?? null, mainModule: process.mainModule ?? null }`

const tell = `console.log('up'); setTimeout(() => {}, 60_000)`
const imageFiles: Readonly<Record<string, string>> = {
  'facts.cjs': `${cjs}\n${facts}`,
  'facts.js': `${cjs}\n${facts}`,
  'facts.mjs': `${esm}\n${facts}`,
  'detected.js': `${esm}\n${facts}`,
  'typed.ts': `${esm}\nconst typed: number = 1\n${facts}`,
  'module/package.json': '{"type":"module"}',
  'module/index.js': `${esm}\n${facts}`,
  'folder/package.json': '{"main":"lib/start"}',
  'folder/lib/start.js': `${cjs}\n${facts}`,
  'ends.js': '',
  'exit.js': 'process.on("exit", (code) => console.log("exit", code)); process.exit(3)',
  'exit-code.js': 'process.on("beforeExit", () => console.log("before")); process.exitCode = 4',
  'throws.js': 'function f() { throw new TypeError("oh") }\nf()',
  'throws.mjs': 'const f = () => { throw new TypeError("oh") }\nf()',
  'throws.ts': 'const f = (a: number) => { throw new TypeError("oh") }\nf(1)',
  'throws-later.js': 'setTimeout(() => { throw new Error("later") }, 1)',
  'rejects.js': 'Promise.reject(new Error("no"))',
  'unsettled.mjs': 'console.log(1); await new Promise(() => {})',
  'syntax.js': 'const = 1',
  'imports-nothing.mjs': 'import "./not-there.mjs"',
  'kills-itself.js': 'process.kill(process.pid, "SIGTERM"); setTimeout(() => {}, 60000)',
  'handles.js': `process.on('SIGTERM', () => { console.log('TERM'); process.exit(5) }); ${tell}`,
  'sleeps.js': tell,
  'caught.js':
    'process.on("uncaughtException", (e) => console.log("caught", e.message)); setTimeout(() => console.log("on"), 5); throw new Error("x")',
  'order.js':
    'setImmediate(() => console.log("immediate")); Promise.resolve().then(() => console.log("micro")); process.nextTick(() => console.log("tick")); queueMicrotask(() => console.log("micro 2")); console.log("main")',
  'stdin.js':
    'process.stdin.on("data", () => console.log("data")).on("end", () => console.log("end"))',
  'forks.js':
    'const c = require("node:child_process"); if (process.argv[2]) { console.log("child", process.execArgv, process.env.EBB_CONTAINER_ID.length) } else { console.log(c.execFileSync(process.execPath, ["-p", "process.argv.length"], { encoding: "utf8" }).trim()); c.fork(__filename, ["x"]) }',
  'worker.js':
    'const w = require("node:worker_threads"); if (w.isMainThread) new w.Worker(__filename); else console.log("worker", process.argv.length, process.execArgv, process.env.COLOR, require.main === module)',
  'mapped.js': `function f() { throw new Error("mapped") }\nf()\n//# sourceMappingURL=data:application/json,{"version":3,"sources":["original.ts"],"names":[],"mappings":"AAAA;AACA"}`,
}

interface Case {
  readonly name: string
  readonly command: readonly string[]
  readonly env?: Readonly<Record<string, string>>
  readonly signal?: 'SIGTERM' | 'SIGKILL'
}

const ends: Case = { name: 'an end', command: ['node', 'ends.js'] }
const names = [
  'facts.cjs',
  'facts.js',
  'facts.mjs',
  'detected.js',
  'typed.ts',
  'module',
  'folder',
  'module/index.js',
]
const endings = Object.keys(imageFiles).filter((name) =>
  /^(ends|exit|throws|rejects|unsettled|syntax|imports|kills|caught|order|stdin|forks|worker)/.test(
    name,
  ),
)
const cases: readonly Case[] = [
  ...names.map((name) => ({ name, command: ['node', name, 'one', '--two'] })),
  ...endings.map((name) => ({ name, command: ['node', name] })),
  {
    name: 'an environment',
    command: ['node', 'facts.js'],
    env: { TZ: 'Asia/Tokyo', COLOR: 'blue', LANG: 'C.UTF-8', NODE_ENV: 'production' },
  },
  { name: 'a program that is not there', command: ['node', './nowhere.js'] },
  { name: 'source maps', command: ['node', '--enable-source-maps', 'mapped.js'] },
  { name: 'a signal nobody handles', command: ['node', 'sleeps.js'], signal: 'SIGTERM' },
  { name: 'a signal that is handled', command: ['node', 'handles.js'], signal: 'SIGTERM' },
  { name: 'a kill', command: ['node', 'sleeps.js'], signal: 'SIGKILL' },
]
/** Command lines and environments that no idle interpreter takes. */
const fresh: readonly Case[] = [
  { name: 'flags of V8', command: ['node', '--stack-size=500', 'ends.js'] },
  { name: 'NODE_OPTIONS', command: ['node', 'ends.js'], env: { NODE_OPTIONS: '--no-warnings' } },
  { name: 'a locale', command: ['node', 'ends.js'], env: { LANG: 'de_DE.UTF-8' } },
  { name: 'another program', command: ['/bin/sh', '-c', 'exit 0'] },
  { name: 'a string to evaluate', command: ['node', '-e', '0'] },
]

async function open(network: 'host' | 'namespaces', warmInterpreters: number) {
  const dataDir = await mkdtemp(join(tmpdir(), 'ebb-warm-'))
  const rootfs = join(dataDir, 'rootfs')
  for (const [name, text] of Object.entries(imageFiles)) {
    await mkdir(dirname(join(rootfs, 'app', name)), { recursive: true })
    await writeFile(join(rootfs, 'app', name), text)
  }
  const image: ImageHandle = {
    reference: 'node',
    imageID: 'node',
    rootfs,
    config: {
      entrypoint: [],
      cmd: ['node', 'sleeps.js'],
      env: {},
      workingDir: '/app',
      user: '',
      stopSignal: '',
      exposedPorts: [],
    },
  }
  const runtime = await processRuntime({
    dataDir,
    socketPath: join(dataDir, 'l.sock'),
    clock: systemClock,
    log: silent,
    network,
    warmInterpreters,
  })
  const close = async () => {
    await runtime[Symbol.asyncDispose]()
    await rm(dataDir, { recursive: true, force: true })
  }
  return { runtime, dataDir, image, close }
}

async function until(what: string, check: () => Promise<boolean>): Promise<void> {
  const end = performance.now() + 20_000
  while (!(await check())) {
    if (performance.now() > end) throw new Error(`timed out: ${what}`)
    await sleep(systemClock, 5)
  }
}

const someIdle = (runtime: ProcessRuntime) =>
  until('an interpreter is idle', async () => (await runtime.idleInterpreters()) > 0)

for (const network of ['host', 'namespaces'] as const) {
  const skip = network === 'namespaces' && process.getuid?.() !== 0 && 'takes root'
  describe(`a warm process is like a fresh one (${network})`, { skip }, () => {
    let opened: Awaited<ReturnType<typeof open>>
    let count = 0
    before(async () => {
      opened = await open(network, network === 'host' ? 6 : 1)
      await run(ends, true) // none are kept before the first
    })
    after(() => opened.close())

    async function run(
      { command, env = {}, signal }: Case,
      warm: boolean,
    ): Promise<{ container: Container; exit: ContainerExit; output: string }> {
      const { runtime, image, dataDir } = opened
      const podUid = `pod-${count++}`
      const logPath = join(dataDir, 'logs', podUid)
      const base = { podUid, namespace: 'ns', name: 'p', ports: [] }
      await runtime.createSandbox({ ...base, images: [warm ? 'node' : 'cold'] })
      const spec: ContainerSpec = {
        podUid,
        namespace: 'ns',
        podName: 'p',
        container: 'c',
        attempt: 0,
        image: { ...image, reference: warm ? 'node' : 'cold' },
        command,
        env,
        logPath,
        workingDir: '/app',
        mounts: [],
        ...(!warm && { warm: false }),
      }
      const container = await runtime.start(spec)
      if (signal) {
        await until('the program is up', async () =>
          (await readFile(logPath, 'utf8')).includes('up'),
        )
        await runtime.signal(container.id, signal)
      }
      const exit = await container.exited
      await runtime.removeSandbox(podUid)
      return { container, exit, output: await readFile(logPath, 'utf8') }
    }

    for (const item of network === 'host' ? cases : [cases[1]!, cases[2]!]) {
      test(item.name, async () => {
        const cold = await run(item, false)
        await someIdle(opened.runtime)
        const warm = await run(item, true)
        assert.equal(warm.container.warm, true)
        assert.equal(cold.container.warm, undefined)
        const end = ({ exit, output }: typeof cold) => ({
          exitCode: exit.exitCode,
          signal: exit.signal,
          reason: exit.reason,
          output: comparable(output),
        })
        assert.deepEqual(end(warm), end(cold))
      })
    }

    if (network === 'host')
      for (const item of fresh)
        test(`takes a new process: ${item.name}`, async () => {
          await someIdle(opened.runtime)
          const { container, exit } = await run(item, true)
          assert.equal(container.warm, undefined)
          assert.equal(exit.exitCode, 0)
        })
  })
}

/** Without pids, and without the frames of Node that start the main module (the documented difference). */
function comparable(output: string): unknown {
  const text = output
    .replaceAll(
      /^ +at .*(run_main|processImmediate|loadESM|asyncRunEntryPointWithESMLoader).*\n/gm,
      '',
    )
    .replaceAll(/logs\/pod-(\d+|N)/g, 'logs/POD')
    .replaceAll(/\(node:\d+\)/g, '(node:PID)')
  return text.startsWith('{"timer') ? JSON.parse(text) : text
}

/** Pids of interpreters of this directory, idle or not. */
const interpreters = (dataDir: string): readonly number[] =>
  readdirSync('/proc')
    .map(Number)
    .filter((pid) => {
      try {
        const line = readFileSync(`/proc/${pid}/cmdline`, 'latin1')
        return line.includes('warm-interpreter') && line.includes(dataDir)
      } catch {
        return false // no process
      }
    })

test('idle interpreters are started again when they die, and end with their launcher; pods do not', async (t) => {
  const { runtime, image, dataDir, close } = await open('host', 1)
  t.after(close)
  const start = async (podUid: string) => {
    await runtime.createSandbox({ podUid, namespace: 'ns', name: podUid, ports: [] })
    return await runtime.start({
      podUid,
      namespace: 'ns',
      podName: podUid,
      container: 'c',
      attempt: 0,
      image,
      command: ['node', 'sleeps.js'],
      env: {},
      workingDir: '/app',
      mounts: [],
      logPath: join(dataDir, podUid),
    })
  }
  await start('fresh')
  await someIdle(runtime)
  const [first = 0] = interpreters(dataDir)
  process.kill(first, 'SIGKILL')
  await until('another one is idle', async () => {
    const [pid = first] = interpreters(dataDir)
    return pid !== first && (await runtime.idleInterpreters()) === 1
  })
  const pod = await start('warm')
  assert.equal(pod.warm, true)
  await someIdle(runtime)
  assert.equal(interpreters(dataDir).length, 2)
  const launcher = runtime.launcherPid
  process.kill(launcher, 'SIGKILL')
  await until('another launcher is there', async () => runtime.launcherPid !== launcher)
  await until('an idle one is its', async () => (await runtime.idleInterpreters()) === 1)
  const left = interpreters(dataDir)
  assert.equal(left.length, 2, 'the pod and the new one')
  assert.ok(left.includes(pod.pid))
  await runtime.signal(pod.id, 'SIGTERM')
  assert.equal((await pod.exited).exitCode, 137, 'nobody saw its code')
})

runtimeContract('process from idle interpreters', async (t) => {
  const { runtime, image, dataDir, close } = await open('host', 2)
  t.after(close)
  const podUid = 'first'
  await runtime.createSandbox({ podUid, namespace: 'ns', name: podUid, ports: [] })
  const spec = {
    podUid,
    namespace: 'ns',
    podName: 'p',
    container: 'c',
    attempt: 0,
    image,
    env: {},
    workingDir: '/app',
    mounts: [],
  }
  const { exited } = await runtime.start({
    ...spec,
    command: ['node', 'ends.js'],
    logPath: join(dataDir, 'first'),
  })
  await exited
  await until('both are idle', async () => (await runtime.idleInterpreters()) === 2)
  return { runtime, sleeper: image, logPath: (attempt) => join(dataDir, `${attempt}.log`) }
})
