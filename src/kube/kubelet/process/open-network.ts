/** Which network the pods of this machine get: each one of its own, where the machine allows it, or ports of the loopback. */
import type { Clock } from '../../../lib/clock.ts'
import type { Log } from '../../../lib/log.ts'
import type { SandboxRecord } from '../launcher/protocol.ts'
import { findOnHost } from './executable.ts'
import type { Launcher } from './launcher-client.ts'
import { namespaceNetwork } from './namespace-network.ts'
import { hostNetwork, type Network } from './network.ts'

export interface NetworkOptions {
  readonly network: 'auto' | 'namespaces' | 'host'
  /** Started Node processes kept idle for pods to come, once a Node program has run; 0 = none, the default. */
  readonly warmInterpreters?: number
  readonly clock: Clock
  readonly log: Log
}

/** Namespaces kept ready besides those that interpreters wait in. */
const spareNamespaces = 6
export const networkCommandLimitMs = 20_000

/** Namespaces if asked for or if the machine allows them, else the loopback of this machine. Throws when asked for and impossible. */
export async function openNetwork(
  { network, log, clock, warmInterpreters: interpreters = 0 }: NetworkOptions,
  launcher: Launcher,
  id: string,
  inUse: readonly SandboxRecord[],
): Promise<Network> {
  if (network === 'host') return hostNetwork(inUse)
  const ip = findOnHost('ip')
  const nsenter = findOnHost('nsenter')
  const problem =
    process.getuid?.() !== 0
      ? 'not running as root'
      : ip === undefined || nsenter === undefined
        ? 'the programs ip and nsenter are not both installed'
        : undefined
  try {
    if (problem !== undefined || ip === undefined || nsenter === undefined) throw new Error(problem)
    return await namespaceNetwork({
      ip,
      nsenter,
      iptables: findOnHost('iptables'),
      nft: findOnHost('nft'),
      id,
      inUse,
      log,
      clock,
      spare: spareNamespaces + interpreters,
      run: (argv, input) =>
        launcher.run({
          argv,
          ...(input !== undefined && { input }),
          timeoutMs: networkCommandLimitMs,
          limitBytes: 1 << 20,
        }),
    })
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error)
    if (network === 'namespaces') throw new Error(`pods can't have networks of their own: ${why}`)
    log.info('pods share the loopback of this machine', { why })
    return hostNetwork(inUse)
  }
}
