/**
 * The event engine as a process: started when the first Broker or channel is wanted, found again when one answers on
 * its socket, started again when it died. It is detached: neither a crash nor the end of this process ends it.
 */
import { spawn } from 'node:child_process'
import { closeSync, mkdirSync, openSync } from 'node:fs'
import { Agent, request } from 'node:http'
import { dirname } from 'node:path'
import { strippedEntry } from '../../kube/kubelet/process/stripped-entry.ts'
import type { Log } from '../../lib/log.ts'
import type { Layout } from '../config.ts'

/** The published package runs compiled files. */
const extension = import.meta.url.endsWith('.ts') ? '.ts' : '.js'

/** Events live for milliseconds: with room for those of a burst, few of them are ever moved by the garbage collector. */
export const engineFlags = ['--max-semi-space-size=16'] as const

/** Forks an engine for this data directory; it listens a moment later. One that runs already wins. */
export function forkEventEngine(layout: Layout, log: Log): void {
  mkdirSync(dirname(layout.eventLog), { recursive: true })
  mkdirSync(dirname(layout.eventSocket), { recursive: true, mode: 0o700 })
  const output = openSync(layout.eventLog, 'a', 0o600)
  const entry = strippedEntry(
    new URL(`../../eventing/broker/main${extension}`, import.meta.url),
    layout.programs,
  )
  const child = spawn(
    process.execPath,
    [...engineFlags, entry, '--socket', layout.eventSocket, '--directory', layout.events],
    // Not where the user happened to be: that folder may be removed.
    { cwd: layout.dataDir, detached: true, stdio: ['ignore', output, output], env: {} },
  )
  child.on('error', (error) => log.error('the event engine could not be started', { error }))
  child.unref()
  closeSync(output)
}

/** For its channels to finish what is under way; one that hangs does not hold up whoever ends the platform. */
const stopLimitMs = 30_000

/** A connection on which nothing is asked any more keeps the process waiting, too: its end is what is waited for. */
class WaitingAgent extends Agent {
  override keepSocketAlive(): boolean {
    return true
  }
}

/** Asks the engine on this socket to finish and end, and waits until it has. False when nobody answers. */
export function stopEventEngine(socketPath: string): Promise<boolean> {
  return new Promise((resolve) => {
    let reached = false
    const agent = new WaitingAgent({ keepAlive: true })
    const asked = { socketPath, method: 'POST', path: '/stop', timeout: stopLimitMs, agent }
    const sending = request(asked, (response) => {
      reached = true
      // It ends the connection when all events are where they belong.
      response.resume()
      response.socket.once('close', () => resolve(true))
    })
    sending.on('error', () => resolve(reached))
    sending.on('timeout', () => sending.destroy(new Error('no answer')))
    sending.end()
  })
}
