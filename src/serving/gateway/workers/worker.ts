/** One of several gateway workers: a gateway in a thread of its own that hears the feed from the main thread. */
import { parentPort } from 'node:worker_threads'
import { systemClock } from '../../../lib/clock.ts'
import { linesTo } from '../../../lib/line-file.ts'
import { jsonLog } from '../../../lib/log.ts'
import { systemRandom } from '../../../lib/random.ts'
import { startGateway } from '../gateway.ts'
import { WorkerMemory } from './worker-memory.ts'
import type { FromWorker, ToWorker, WorkerData } from './worker-protocol.ts'

const standardOutput = 1

/** Serves until told to stop. Rejects when an address cannot be had. */
export async function runWorker(data: WorkerData): Promise<void> {
  const port = parentPort
  if (!port) throw new Error('a gateway worker is a thread')
  const say = (message: FromWorker): void => port.postMessage(message)
  const log = jsonLog(
    (line) => process.stdout.write(line),
    data.logLevel,
    () => systemClock.now(),
  ).child({ worker: data.gatewayWorker })
  const requestLog = linesTo(standardOutput, systemClock)
  const gateway = await startGateway({
    clock: systemClock,
    log,
    random: systemRandom,
    writeLine: (line) => requestLog.add(line),
    http: data.http,
    local: data.local,
    ...(data.https && { https: data.https }),
    ...(data.clusterDomain !== undefined && { clusterDomain: data.clusterDomain }),
    ...(data.ticketKeys && { ticketKeys: Buffer.from(data.ticketKeys) }),
    limits: data.limits,
    memory: new WorkerMemory(data.memory, data.size, data.gatewayWorker),
  })
  const listener = (message: Parameters<Parameters<typeof gateway.listen>[0] & object>[0]): void =>
    say({ type: 'feed', message })
  port.on('message', (message: ToWorker) => {
    switch (message.type) {
      case 'feed':
        gateway.receive(message.message)
        return
      case 'listening':
        gateway.listen(message.listening ? listener : acknowledgements)
        return
      case 'report':
        say({ type: 'report', stats: gateway.report() })
        return
      case 'view': {
        const { gateway: gauges, revisions } = gateway.view()
        say({ type: 'view', id: message.id, view: { gateway: gauges, revisions: [...revisions] } })
        return
      }
      case 'borrow':
        void gateway
          .borrow(message.borrows ? (loan) => say({ type: 'loan', loan }) : undefined)
          .then(() => say({ type: 'borrows' }))
        return
      case 'lent':
        gateway.lent(message.lent)
        return
      case 'lend':
        gateway.lend(message.loan, (lent) => say({ type: 'lent', lent }))
        return
      case 'stop':
        ;(message.retire ? gateway.retire(message.graceMs) : gateway.stop(message.graceMs)).then(
          () => say({ type: 'stopped' }),
          (error: unknown) => log.error('stop failed', { error }),
        )
        return
      default:
        message satisfies never
    }
  })
  say({
    type: 'listening',
    http: gateway.http,
    local: gateway.local,
    ...(gateway.https && { https: gateway.https }),
    ownSockets: gateway.ownSockets,
  })

  /** Nobody listens to wake-ups; the main thread still counts. */
  function acknowledgements(message: Parameters<typeof listener>[0]): void {
    if (message.type === 'ack' || message.type === 'drained') listener(message)
  }
}
