/**
 * Cold start: the first answer of a service at zero, against the same app started by hand (exec to first answer), the
 * two in turn in one run. What remains is Ebb's own share.
 */
import { spawn } from 'node:child_process'
import { createServer } from 'node:net'
import { get } from 'node:http'
import { join } from 'node:path'
import { appDir, configure, startEbb, until, type Ebb } from '../test/e2e/platform.ts'
import { median, percentile, type Row } from './row.ts'
import { apiClient } from './start.ts'

const services = 30

export async function rows(): Promise<readonly Row[]> {
  await using ebb = await startEbb()
  await ebb.build('hello-serverless', 'dev.local/hello:bench')
  await configure(ebb, 'config-autoscaler', { 'allow-zero-initial-scale': 'true' })
  const client = await apiClient(ebb)
  for (let i = 0; i < services; i++)
    await client.create(`cold-${i}`, { 'autoscaling.knative.dev/initial-scale': '0' })
  for (let i = 0; i < services; i++)
    await until(`cold-${i} is ready`, () => client.isReady(`cold-${i}`))

  const cold: number[] = []
  const byHand: number[] = []
  for (let i = 0; i < services; i++) {
    byHand.push(await startByHand())
    cold.push(await firstAnswer(ebb, `cold-${i}`))
  }
  const own = median(byHand)
  const overhead = cold.map((ms) => ms - own)
  return [
    { name: 'the app by hand, exec to first answer, p50', value: own, unit: 'ms' },
    { name: 'first answer at zero, p50', value: median(cold), unit: 'ms' },
    {
      name: 'first answer at zero minus the app by hand, p50',
      value: median(overhead),
      unit: 'ms',
      goal: '<= 15 ms',
    },
    {
      name: 'first answer at zero minus the app by hand, p99',
      value: percentile(overhead, 99),
      unit: 'ms',
      goal: '<= 60 ms',
    },
  ]
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
