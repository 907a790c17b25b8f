/** `ebb down`: stops the platform of a data directory and waits until nothing of it runs. */
import { setTimeout as sleep } from 'node:timers/promises'
import { dataDirOf, layoutOf } from '../platform/config.ts'
import { requestStop } from '../platform/control-socket.ts'
import type { Command } from './command.ts'

export const down: Command = {
  name: 'down',
  usage: '',
  summary: 'Stop the platform and every pod, and wait until they are gone',
  flags: {},
  positionals: [0, 0],
  async run(args, out) {
    const dataDir = dataDirOf(args.string('data-dir'))
    const layout = layoutOf(dataDir)
    const pid = await requestStop(layout.controlSocket)
    if (pid !== undefined) {
      while (isRunning(pid)) await sleep(5)
      out.print(`Stopped the platform of ${dataDir}`)
      return 0
    }
    // A control plane that was killed leaves gateway, launcher and pods behind: end those too.
    const { stopRemains } = await import('../platform/remains.ts')
    if (await stopRemains(layout)) {
      out.print(`Stopped what a killed platform of ${dataDir} had left running`)
      return 0
    }
    out.note(`ebb down: no platform runs in ${dataDir} (another one? give --data-dir)`)
    return 1
  },
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}
