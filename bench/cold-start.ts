/**
 * Waking. Cold start: the first answer of a service at zero, against the same app started by hand (exec to first answer),
 * the two in turn in one run; what remains is Ebb's own share. Then frozen services that thaw, and many services woken at
 * the same moment.
 */
import { spawn } from 'node:child_process'
import { createServer } from 'node:net'
import { get } from 'node:http'
import { join } from 'node:path'
import { appDir, configure, hurry, startEbb, until, type Ebb } from '../test/e2e/platform.ts'
import { ColdStart } from '../src/serving/api/cold-start.ts'
import { median, percentile, type Row } from './row.ts'
import { apiClient } from './start.ts'

const services = 40
const frozen = 20
const atOnce = 100

type Client = Awaited<ReturnType<typeof apiClient>>

export async function rows(): Promise<readonly Row[]> {
  // Interpreters started ahead are warm.ts's.
  await using ebb = await startEbb({ args: ['--warm-interpreters', '0'] })
  await ebb.build('hello-serverless', 'dev.local/hello:bench')
  await configure(ebb, 'config-autoscaler', { 'allow-zero-initial-scale': 'true' })
  const client = await apiClient(ebb)
  return [
    ...(await coldRows(ebb, client)),
    ...(await togetherRows(ebb, client)),
    ...(await thawRows(ebb, client)),
  ]
}

async function coldRows(ebb: Ebb, client: Client): Promise<readonly Row[]> {
  await createAtZero(client, 'cold', services)
  const cold: number[] = []
  const byHand: number[] = []
  // Each start by hand lies between two cold ones, so both see the same weather.
  for (let i = 0; i < services; i++) {
    byHand.push(await startByHand())
    cold.push(await firstAnswer(ebb, `cold-${i}`))
  }
  const own = median(byHand)
  const overhead = cold.map((ms) => ms - own)
  return [
    { name: 'the app by hand, exec to first answer, p50', value: own, unit: 'ms' },
    {
      name: 'the app by hand minus its own p50, p99',
      value: percentile(byHand, 99) - own,
      unit: 'ms',
    },
    { name: 'first answer at zero, p50', value: median(cold), unit: 'ms' },
    {
      name: 'first answer at zero minus the app by hand, p50',
      value: median(overhead),
      unit: 'ms',
      goal: '<= 8 ms',
    },
    {
      name: 'first answer at zero minus the app by hand, p99',
      value: percentile(overhead, 99),
      unit: 'ms',
      goal: '<= 30 ms',
    },
  ]
}

/** Services at zero, each asked for the first time at the same moment. */
async function togetherRows(ebb: Ebb, client: Client): Promise<readonly Row[]> {
  await createAtZero(client, 'many', atOnce)
  const all = Array.from({ length: atOnce }, (_, i) => firstAnswer(ebb, `many-${i}`))
  const times = await Promise.all(all)
  return [
    {
      name: `${atOnce} services woken at once, first answer, p50`,
      value: median(times),
      unit: 'ms',
    },
    {
      name: `${atOnce} services woken at once, first answer, p95`,
      value: percentile(times, 95),
      unit: 'ms',
    },
  ]
}

/** Services that have answered before and are frozen now. */
async function thawRows(ebb: Ebb, client: Client): Promise<readonly Row[]> {
  await hurry(ebb)
  const names = Array.from({ length: frozen }, (_, i) => `frozen-${i}`)
  for (const name of names) await client.create(name, { 'ebb.dev/freeze-for': '10m' })
  for (const name of names) {
    await until(`${name} is ready`, () => client.isReady(name))
    for (let i = 0; i < 3; i++) await firstAnswer(ebb, name)
  }
  await until(
    'all are frozen',
    async () => {
      const pods = await ebb.ok('get', 'pods', '-o', 'jsonpath={.items[*].status.reason}')
      return pods.split(' ').filter((reason) => reason === 'Frozen').length === frozen
    },
    120_000,
  )
  await new Promise((resolve) => setTimeout(resolve, 2_000)) // the other services go to zero meanwhile
  const times: number[] = []
  for (const name of names) times.push(await firstAnswer(ebb, name))
  const { client: api } = await (await import('../src/cli/api-client.ts')).clientOf(ebb.kubeconfig)
  const inside = await until('the waterfalls are kept', async () => {
    const { items } = await api.list(ColdStart, 'default')
    const thawed = items.filter(({ spec }) => spec.kind === 'Thawed')
    return thawed.length >= frozen && thawed.map(({ spec }) => spec.spans.totalMs)
  })
  return [
    {
      name: 'first answer of a frozen pod (client), p50',
      value: median(times),
      unit: 'ms',
      goal: '<= 5 ms',
    },
    {
      name: 'the same from first byte in to first byte out, p50',
      value: median(inside),
      unit: 'ms',
    },
    { name: 'the same, p99', value: percentile(inside, 99), unit: 'ms' },
  ]
}

async function createAtZero(client: Client, name: string, count: number): Promise<void> {
  for (let i = 0; i < count; i++)
    await client.create(`${name}-${i}`, { 'autoscaling.knative.dev/initial-scale': '0' })
  for (let i = 0; i < count; i++)
    await until(`${name}-${i} is ready`, () => client.isReady(`${name}-${i}`))
}

async function firstAnswer(ebb: Ebb, name: string): Promise<number> {
  const start = performance.now()
  const { status } = await ebb.get(`${name}.default.localhost`)
  if (status !== 200) throw new Error(`${name} answered ${status}`)
  return performance.now() - start
}

async function startByHand(): Promise<number> {
  const port = await freePort()
  const start = performance.now()
  const child = spawn(process.execPath, [join(appDir('hello-serverless'), 'server.js')], {
    env: { PORT: String(port) },
    stdio: 'ignore',
  })
  while (!(await answers(port))) await new Promise((resolve) => setTimeout(resolve, 1))
  const took = performance.now() - start
  const ended = new Promise((resolve) => child.once('exit', resolve))
  child.kill('SIGKILL')
  await ended
  return took
}

const answers = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    get({ host: '127.0.0.1', port, agent: false }, (response) => {
      response.resume()
      response.on('end', () => resolve(true))
    }).on('error', () => resolve(false))
  })

const freePort = (): Promise<number> =>
  new Promise((resolve, reject) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const address = server.address()
      server.close(() =>
        typeof address === 'object' && address
          ? resolve(address.port)
          : reject(new Error('no port')),
      )
    })
  })
