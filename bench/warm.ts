/**
 * Starting sooner than a process can: first answers at zero with and without idle interpreters, of a hello app and of an
 * app with a framework, unbundled and bundled; what an idle interpreter costs; and that starting a process does not grow
 * with the control plane's memory.
 */
import { spawn, spawnSync } from 'node:child_process'
import { readFileSync, readlinkSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  appDir,
  configure,
  processesMentioning,
  startEbb,
  until,
  type Ebb,
} from '../test/e2e/platform.ts'
import { connectLauncher } from '../src/kube/kubelet/process/launcher-client.ts'
import { systemClock } from '../src/lib/clock.ts'
import { silent } from '../src/lib/log.ts'
import { memoryOf } from './processes.ts'
import { median, percentile, type Row } from './row.ts'
import { apiClient } from './start.ts'

const services = 15
/** Long enough for another interpreter to be started and fall asleep. */
const restMs = 400
const ballastBytes = 500 << 20

export async function rows(): Promise<readonly Row[]> {
  const hello = appDir('hello-serverless')
  const [fresh, warm] = await firstAnswers([
    { directory: hello, interpreters: 0 },
    { directory: hello, interpreters: 1 },
  ])
  if (!fresh || !warm) return []
  return [
    { name: 'hello at zero, a new process, p50', value: median(fresh.ms), unit: 'ms' },
    {
      name: 'hello at zero, an idle interpreter, p50',
      value: median(warm.ms),
      unit: 'ms',
      goal: '<= 12 ms',
    },
    {
      name: 'hello at zero, an idle interpreter, p95',
      value: percentile(warm.ms, 95),
      unit: 'ms',
    },
    {
      name: 'memory of an idle interpreter (shared pages once)',
      value: warm.memory,
      unit: 'MB',
      goal: '<= 25 MB',
    },
    ...(await framework()),
    ...(await spawning()),
  ]
}

interface Way {
  readonly directory: string
  readonly flags?: readonly string[]
  readonly interpreters: number
}

/**
 * First answers of services at zero, a platform for each way, the ways in turn. The first answer of each is left out: no
 * interpreter is kept before a Node program was seen.
 */
async function firstAnswers(
  ways: readonly Way[],
): Promise<readonly { readonly ms: readonly number[]; readonly memory: number }[]> {
  await using platforms = new AsyncDisposableStack()
  const names = Array.from({ length: services }, (_, i) => `cold-${i}`)
  const opened: { readonly ebb: Ebb; readonly ms: number[] }[] = []
  for (const { directory, flags = [], interpreters } of ways) {
    const ebb = platforms.use(
      await startEbb({ args: ['--warm-interpreters', String(interpreters)] }),
    )
    const built = await ebb.ebb('build', directory, '--tag', 'dev.local/hello:bench', ...flags)
    if (built.code !== 0) throw new Error(built.stderr)
    await configure(ebb, 'config-autoscaler', { 'allow-zero-initial-scale': 'true' })
    const client = await apiClient(ebb)
    for (const name of names)
      await client.create(name, { 'autoscaling.knative.dev/initial-scale': '0' })
    for (const name of names) await until(`${name} is ready`, () => client.isReady(name))
    opened.push({ ebb, ms: [] })
  }
  for (const name of names)
    for (const { ebb, ms } of opened) {
      const start = performance.now()
      const { status } = await ebb.get(`${name}.default.localhost`)
      ms.push(performance.now() - start)
      if (status !== 200) throw new Error(`${name} answered ${status}`)
      await new Promise((resolve) => setTimeout(resolve, restMs))
    }
  return opened.map(({ ebb, ms }) => ({
    ms: ms.slice(1),
    memory: memoryOf(idle(ebb)).resident,
  }))
}

/** The interpreter that no pod has become: a pod's output would be its log. */
const idle = (ebb: Ebb): readonly number[] =>
  processesMentioning(ebb.dataDir).filter(
    (pid) =>
      readFileSync(`/proc/${pid}/cmdline`, 'latin1').includes('launcher/warm-interpreter') &&
      readlinkSync(`/proc/${pid}/fd/1`) === '/dev/null',
  )

const frameworkApp = `import Fastify from 'fastify'
import { z } from 'zod'
const Query = z.object({ name: z.string().default('world') })
const app = Fastify()
app.get('/', async (request) => ({ hello: Query.parse(request.query).name }))
await app.listen({ port: Number(process.env.PORT || 8080), host: '0.0.0.0' })
`

/** An app with fastify and zod, fetched from the registry; without one the rows are left out. */
async function framework(): Promise<readonly Row[]> {
  const directory = await mkdtemp(join(tmpdir(), 'ebb-bench-framework-'))
  try {
    await writeFile(join(directory, 'server.mjs'), frameworkApp)
    await writeFile(
      join(directory, 'package.json'),
      JSON.stringify({
        scripts: { start: 'node server.mjs' },
        dependencies: { fastify: '5.6.1', zod: '4.1.12' },
      }),
    )
    const installed = spawnSync('npm', ['install', '--ignore-scripts', '--no-audit', '--no-fund'], {
      cwd: directory,
      timeout: 120_000,
      encoding: 'utf8',
    })
    if (installed.status !== 0) {
      process.stderr.write(
        '  the app with a framework is left out: npm install failed (offline?)\n',
      )
      return []
    }
    const [plain = Number.NaN, bundled = Number.NaN, both = Number.NaN] = (
      await firstAnswers([
        { directory, interpreters: 0 },
        { directory, flags: ['--bundle'], interpreters: 0 },
        { directory, flags: ['--bundle'], interpreters: 1 },
      ])
    ).map(({ ms }) => median(ms))
    return [
      { name: 'fastify and zod at zero, as they are, p50', value: plain, unit: 'ms' },
      { name: 'the same bundled, compiled ahead, p50', value: bundled, unit: 'ms' },
      {
        name: 'the same bundled, compiled ahead, an idle interpreter, p50',
        value: both,
        unit: 'ms',
        goal: '<= 50 ms',
      },
      {
        name: 'that is so many times sooner',
        value: plain / both,
        unit: '×',
        goal: '>= 2.7 (136 : 50)',
      },
    ]
  } finally {
    await rm(directory, { recursive: true, force: true })
  }
}

/** Time to start a process, asked of the launcher, by a small and by a large process; and by the large one itself. */
async function spawning(): Promise<readonly Row[]> {
  const dataDir = await mkdtemp(join(tmpdir(), 'ebb-bench-launcher-'))
  const launcher = await connectLauncher({
    dataDir,
    socketPath: join(dataDir, 'l.sock'),
    prefix: 'be5c00000000',
    clock: systemClock,
    log: silent,
  })
  let count = 0
  const byLauncher = async () => {
    const id = `be5c00000000${String(count++).padStart(52, '0')}`
    const start = performance.now()
    await launcher.start({
      id,
      podUid: id,
      container: 'c',
      attempt: 0,
      argv: ['/bin/true'],
      cwd: '/',
      env: {},
      logPath: join(dataDir, 'log.txt'),
      exec: { rootfs: '/', cwd: '/', path: '/bin', env: {}, enter: [], hasView: false },
    })
    const took = performance.now() - start
    await launcher.forget(id)
    return took
  }
  const byItself = async () => {
    const start = performance.now()
    const child = spawn('/bin/true', { stdio: 'ignore' })
    const took = performance.now() - start
    await new Promise((resolve) => child.once('exit', resolve))
    return took
  }
  const times = async (one: () => Promise<number>) => {
    const all: number[] = []
    for (let i = 0; i < 50; i++) all.push(await one())
    return percentile(all, 25) // what disturbs only adds
  }
  try {
    const small = await times(byLauncher)
    const itselfSmall = await times(byItself)
    const ballast = Array.from({ length: 500 }, () => Buffer.alloc(ballastBytes / 500, 1))
    const large = await times(byLauncher)
    const itself = await times(byItself)
    if (ballast.length === 0) throw new Error('kept until here')
    return [
      { name: 'a process started through the launcher, p25', value: small, unit: 'ms' },
      {
        name: 'the same by a control plane of 500 MB more, p25',
        value: large,
        unit: 'ms',
        goal: '<= 1.2 times',
      },
      {
        name: 'for comparison: started by a process of 500 MB more itself, before and after',
        value: itself / itselfSmall,
        unit: '×',
      },
    ]
  } finally {
    await launcher.stop(1_000)
    await rm(dataDir, { recursive: true, force: true })
  }
}
