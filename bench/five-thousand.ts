/** 5,000 Services at zero: time to create them, memory, CPU while idle, start-up with them stored. */
import { configure, startEbb, until } from '../test/e2e/platform.ts'
import { cpuSeconds, memoryOf, processesOf } from './processes.ts'
import type { Row } from './row.ts'
import { apiClient } from './start.ts'

const count = Number(process.env['EBB_BENCH_SERVICES'] ?? 5_000)
/** What creating set off, such as pods that no request came for, has ended by then. */
const settleSeconds = 30
const idleSeconds = 30

export async function rows(): Promise<readonly Row[]> {
  await using ebb = await startEbb()
  await ebb.build('hello-serverless', 'dev.local/hello:bench')
  await configure(ebb, 'config-autoscaler', { 'allow-zero-initial-scale': 'true' })
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
  await new Promise((resolve) => setTimeout(resolve, settleSeconds * 1000))
  const processes = processesOf(ebb)
  const memory = memoryOf(processes)
  const before = cpuSeconds(processes)
  const controlBefore = cpuSeconds([ebb.pid])
  await new Promise((resolve) => setTimeout(resolve, idleSeconds * 1000))
  const idleCpu = ((cpuSeconds(processes) - before) / idleSeconds) * 100
  const controlCpu = ((cpuSeconds([ebb.pid]) - controlBefore) / idleSeconds) * 100
  await ebb.kill()
  await ebb.restart()
  const restartMs = Number(/Ready in (\d+) ms/.exec(ebb.output)?.[1])
  return [
    { name: `${count} Services: all created after`, value: createdSeconds, unit: 's' },
    { name: `${count} Services: all Ready after`, value: readySeconds, unit: 's' },
    {
      name: `${count} Services at zero: resident memory, all processes`,
      value: memory.resident,
      unit: 'MB',
    },
    {
      name: `${count} Services at zero: CPU of all processes while idle`,
      value: idleCpu,
      unit: '% of a core',
      goal: '< 5 %',
    },
    {
      name: `${count} Services at zero: of it the control plane with the autoscaler`,
      value: controlCpu,
      unit: '% of a core',
    },
    {
      name: `${count} Services stored: start after kill -9 to ready`,
      value: restartMs,
      unit: 'ms',
    },
  ]
}
