/** 5,000 Services at zero: time to create them, memory, CPU while idle, start-up with them stored. */
import { readFileSync } from 'node:fs'
import { processesMentioning, startEbb, until } from '../test/e2e/platform.ts'
import type { Row } from './row.ts'
import { apiClient, residentMB } from './start.ts'

const count = Number(process.env['EBB_BENCH_SERVICES'] ?? 5_000)
const idleSeconds = 20

export async function rows(): Promise<readonly Row[]> {
  await using ebb = await startEbb()
  await ebb.build('hello-serverless', 'dev.local/hello:bench')
  await ebb.ok(
    '-n',
    'knative-serving',
    'patch',
    'cm',
    'config-autoscaler',
    '--type=merge',
    '-p',
    JSON.stringify({ data: { 'allow-zero-initial-scale': 'true' } }),
  )
  const client = await apiClient(ebb)
  const start = performance.now()
  const queue = Array.from({ length: count }, (_, i) => `many-${i}`)
  const worker = async () => {
    for (let name = queue.pop(); name !== undefined; name = queue.pop())
      await client.create(name, { 'autoscaling.knative.dev/initial-scale': '0' })
  }
  await Promise.all(Array.from({ length: 16 }, worker))
  const createdSeconds = (performance.now() - start) / 1000
  await until(
    'all are ready',
    async () =>
      (await ebb.ok('get', 'ksvc', '--no-headers')).split('\n').filter((line) => / True/.test(line))
        .length === count,
    600_000,
  )
  const readySeconds = (performance.now() - start) / 1000
  await new Promise((resolve) => setTimeout(resolve, 5_000))
  const memoryMB = residentMB([...new Set([ebb.pid, ...processesMentioning(ebb.dataDir)])])
  const before = cpuSeconds(ebb.pid)
  await new Promise((resolve) => setTimeout(resolve, idleSeconds * 1000))
  const idleCpu = ((cpuSeconds(ebb.pid) - before) / idleSeconds) * 100
  await ebb.kill()
  await ebb.restart()
  const restartMs = Number(/Ready in (\d+) ms/.exec(ebb.output)?.[1])
  return [
    { name: `${count} Services: all created after`, value: createdSeconds, unit: 's' },
    { name: `${count} Services: all Ready after`, value: readySeconds, unit: 's' },
    {
      name: `${count} Services at zero: resident memory, all processes`,
      value: memoryMB,
      unit: 'MB',
    },
    {
      name: `${count} Services at zero: control plane's CPU while idle`,
      value: idleCpu,
      unit: '% of a core',
      goal: '< 5 %',
    },
    {
      name: `${count} Services stored: start after kill -9 to ready`,
      value: restartMs,
      unit: 'ms',
    },
  ]
}

/** User and system time of a process, in seconds (Linux, 100 ticks a second). */
function cpuSeconds(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? []
  return (Number(fields[11]) + Number(fields[12])) / 100
}
