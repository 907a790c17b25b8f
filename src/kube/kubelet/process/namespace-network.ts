/**
 * A network namespace and an address of its own for each pod: one bridge a platform, and a pool of namespaces prepared
 * ahead, because making one takes longer than starting a process. Names carry an id of the data directory, so that
 * platforms live side by side and what a crash left over is found. Works through `ip`, as root.
 */
import { readdir } from 'node:fs/promises'
import type { Clock } from '../../../lib/clock.ts'
import type { Log } from '../../../lib/log.ts'
import { egress } from './egress.ts'
import type { RunResult, SandboxRecord } from '../launcher/protocol.ts'
import type { Network, PodNetwork } from './network.ts'

export interface NamespaceNetworkOptions {
  /** Paths of the programs. */
  readonly ip: string
  readonly nsenter: string
  readonly iptables: string | undefined
  readonly nft: string | undefined
  /** Runs a command to its end, away from this process. */
  readonly run: (argv: readonly string[], input?: string) => Promise<RunResult>
  /** At least 8 hex digits that name the data directory. */
  readonly id: string
  /** Namespaces that pods are still running in. */
  readonly inUse: readonly SandboxRecord[]
  readonly log: Log
  readonly clock: Clock
  /** Namespaces kept ready. */
  readonly spare: number
}

const namespaceFolder = '/run/netns'
/** 10.88.0.0/13 in networks of /21: 256 of them, 2,045 pods each. */
const prefixLength = 21
const networkCount = 1 << (prefixLength - 13)
const networkSize = 1 << (32 - prefixLength)
const firstAddress = 10 * 2 ** 24 + 88 * 2 ** 16
const largestPod = networkSize - 3
/** After one was taken the next is made this much later, as long as there are others. */
const refillAfterMs = 250
/** Namespaces made by one call at most. */
const batchSize = 16

/** Sets up the bridge. Throws when the machine does not allow it. */
export async function namespaceNetwork(options: NamespaceNetworkOptions): Promise<Network> {
  const { ip, nsenter, log, clock, spare } = options
  const id = options.id.slice(0, 8)
  const bridge = `ebb-${id}`
  // Links of one group are deleted together, which takes as long as deleting one.
  const group = parseInt(id.slice(0, 7), 16) + 1
  const name = (pod: number) => `${bridge}-${pod}`
  const link = (pod: number | '*') => `e${id}.${pod}`
  const run = async (argv: readonly string[], input?: string): Promise<string> => {
    const { exitCode, output } = await options.run(argv, input)
    if (exitCode !== 0)
      throw new Error(`${argv.join(' ')}: ${output.trim() || `exit code ${exitCode}`}`)
    return output
  }
  const batch = (lines: readonly string[], force = false) =>
    run([ip, ...(force ? ['-force'] : []), '-batch', '-'], `${lines.join('\n')}\n`)

  const base = await ensureBridge(bridge, id, group, (argv) => run([ip, ...argv]), batch)
  const gateway = dotted(base + 1)
  const used = new Set<number>()
  for (const { netns } of options.inUse) {
    const pod = Number(netns?.slice(bridge.length + 1))
    if (netns?.startsWith(`${bridge}-`) && Number.isInteger(pod)) used.add(pod)
  }
  await sweep()
  const wayOut = egress({ ...options, bridge, network: `${dotted(base)}/${prefixLength}` })
  if (!wayOut) log.info('pods reach this machine only: neither iptables nor nft is installed')
  else
    void run(wayOut.open).catch((error: unknown) =>
      log.error('pods reach this machine only: no way out could be made', { error }),
    )

  const ready: PodNetwork[] = []
  const waiting: PromiseWithResolvers<PodNetwork>[] = []
  let last = Math.max(0, ...used)
  let filling: Promise<void> | undefined
  let closed = false
  let cancelRefill: (() => void) | undefined
  void fill()

  /** Removes namespaces of this data directory that no pod runs in. */
  async function sweep(): Promise<void> {
    const left = async (folder: string, begin: string) =>
      (await readdir(folder).catch(() => [])).filter(
        (entry) => entry.startsWith(begin) && !used.has(Number(entry.slice(begin.length))),
      )
    const links = await left('/sys/class/net', link('*').slice(0, -1))
    const namespaces = await left(namespaceFolder, `${bridge}-`)
    if (links.length + namespaces.length > 0)
      await batch(
        [
          ...links.map((entry) => `link del ${entry}`),
          ...namespaces.map((entry) => `netns del ${entry}`),
        ],
        true,
      ).catch((error: unknown) => log.info('some left-over networks went by themselves', { error }))
  }

  function nextPod(): number {
    for (let tried = 0; tried < largestPod; tried++) {
      last = (last % largestPod) + 1
      if (!used.has(last)) return last
    }
    throw new Error(`all ${largestPod} pod addresses are in use`)
  }

  function fill(): Promise<void> {
    filling ??= fillUp().finally(() => (filling = undefined))
    return filling
  }

  /** Not at once: the pod that has just taken one starts meanwhile, and making networks takes the processor from it. */
  function refill(): void {
    if (ready.length === 0) return void fill()
    cancelRefill ??= clock.after(refillAfterMs, () => {
      cancelRefill = undefined
      if (!closed) void fill()
    })
  }

  async function fillUp(): Promise<void> {
    let failures = 0
    while (!closed && ready.length < spare + waiting.length) {
      const count = Math.min(batchSize, spare + waiting.length - ready.length)
      const pods: number[] = []
      try {
        for (let i = 0; i < count; i++) {
          const pod = nextPod()
          used.add(pod)
          pods.push(pod)
        }
        await make(pods)
      } catch (error) {
        for (const pod of pods) await destroy(pod)
        if (++failures < 3) continue // a name of a namespace that the kernel is still taking down
        log.error('network namespaces could not be made', { error })
        for (const waiter of waiting.splice(0)) waiter.reject(error)
        return
      }
      for (const pod of pods) {
        const network: PodNetwork = { podIP: dotted(base + 1 + pod), netns: name(pod) }
        const waiter = waiting.shift()
        if (waiter) waiter.resolve(network)
        else ready.push(network)
      }
    }
  }

  async function make(pods: readonly number[]): Promise<void> {
    await batch(
      pods.flatMap((pod) => [
        `netns add ${name(pod)}`,
        `link add ${link(pod)} type veth peer name eth0 netns ${name(pod)}`,
        `link set ${link(pod)} master ${bridge} group ${group} up`,
      ]),
    )
    await Promise.all(
      pods.map((pod) =>
        run(
          [ip, '-n', name(pod), '-batch', '-'],
          `link set lo up\naddr add ${dotted(base + 1 + pod)}/${prefixLength} dev eth0\nlink set eth0 up\nroute add default via ${gateway}\n`,
        ),
      ),
    )
  }

  /** What left its container's process group and marks is found by its network. */
  const killInside = (namespace: string) =>
    `for p in $(${ip} netns pids ${namespace} 2>/dev/null); do kill -9 $p; done`

  /** A namespace goes with its last process; its link at once. */
  async function destroy(pod: number): Promise<void> {
    await batch([`link del ${link(pod)}`, `netns del ${name(pod)}`], true).catch(() => {})
    used.delete(pod)
  }

  return {
    mode: 'namespaces',
    hostIP: gateway,
    ready: () => ready,
    async acquire(_ports, preferred = () => true) {
      const at = ready.findIndex(preferred)
      const [network] = ready.splice(Math.max(at, 0), 1)
      if (network) {
        refill()
        return network
      }
      const waiter = Promise.withResolvers<PodNetwork>()
      waiting.push(waiter)
      void fill()
      return await waiter.promise
    },
    async release({ netns }) {
      const pod = Number(netns?.slice(bridge.length + 1))
      if (!netns?.startsWith(`${bridge}-`) || !used.has(pod)) return
      await run(['/bin/sh', '-c', killInside(netns)]).catch(() => {})
      await destroy(pod)
    },
    enter: ({ netns }) => (netns ? [nsenter, `--net=${namespaceFolder}/${netns}`, '--'] : []),
    cleanup: [
      '/bin/sh',
      '-c',
      `${ip} link del group ${group}; for n in ${namespaceFolder}/${bridge}-*; do [ -e "$n" ] && { n=\${n##*/}; ${killInside('$n')}; ${ip} netns del $n; }; done\n${wayOut?.close ?? ''}`,
    ],
    async [Symbol.asyncDispose]() {
      closed = true
      cancelRefill?.()
      for (const waiter of waiting.splice(0)) waiter.reject(new Error('the network is closed'))
      await filling
    },
  }
}

/** Finds this platform's bridge or makes one in a network that nobody uses. Answers the network's first address. */
async function ensureBridge(
  bridge: string,
  id: string,
  group: number,
  run: (argv: readonly string[]) => Promise<string>,
  batch: (lines: readonly string[]) => Promise<string>,
): Promise<number> {
  const start = parseInt(id, 16) % networkCount
  for (let attempt = 0; attempt < networkCount; attempt++) {
    const taken = networksOf(jsonOf(await run(['-j', '-4', 'addr', 'show'])))
    const own = taken.find((network) => network.name === bridge)
    if (own) {
      const rival = taken.find((other) => other.name < bridge && overlap(own, other))
      if (!rival) return own.first
      await run(['link', 'del', bridge]) // another platform took the same network at the same moment
      continue
    }
    const candidates = Array.from({ length: networkCount }, (_, i) => ({
      name: '',
      first: firstAddress + ((start + i) % networkCount) * networkSize,
      size: networkSize,
    }))
    const free = candidates.find((candidate) => !taken.some((other) => overlap(candidate, other)))
    if (!free) throw new Error('10.88.0.0/13 has no network left that no interface uses')
    await run(['link', 'del', bridge]).catch(() => {}) // left without an address by a crash
    await batch([
      `link add ${bridge} type bridge`,
      `addr add ${dotted(free.first + 1)}/${prefixLength} dev ${bridge}`,
      `link set ${bridge} group ${group} up`,
    ])
  }
  throw new Error('other platforms keep taking the networks')
}

interface Taken {
  readonly name: string
  readonly first: number
  readonly size: number
}

const overlap = (a: Taken, b: Taken): boolean =>
  a.first < b.first + b.size && b.first < a.first + a.size

function networksOf(interfaces: unknown): Taken[] {
  if (!Array.isArray(interfaces)) return []
  return interfaces.flatMap((entry: InterfaceJson) =>
    (entry.addr_info ?? []).flatMap(({ local, prefixlen }) => {
      const address = local?.split('.').reduce((sum, part) => sum * 256 + Number(part), 0)
      if (address === undefined || prefixlen === undefined) return []
      const size = 2 ** (32 - prefixlen)
      return [{ name: entry.ifname ?? '', first: Math.floor(address / size) * size, size }]
    }),
  )
}

interface InterfaceJson {
  readonly ifname?: string
  readonly addr_info?: readonly { readonly local?: string; readonly prefixlen?: number }[]
}

const dotted = (address: number): string =>
  [24, 16, 8, 0].map((shift) => Math.floor(address / 2 ** shift) % 256).join('.')

/** What `ip` has listed, without its complaint that something changed meanwhile: what matters is looked at again. */
const jsonOf = (text: string): unknown =>
  JSON.parse(
    text
      .split('\n')
      .filter((line) => !line.startsWith('Dump was interrupted'))
      .join('\n'),
  )
