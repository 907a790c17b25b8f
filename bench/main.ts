/**
 * `npm run bench [-- NAME…]`: runs the benches named (all by default), each in turn, and prints one table; of `events`
 * also parts: `events=ingest,recovery`. `profile` and `compare=DIR` (docs/performance.md) run only when they are named.
 */
import { cpus } from 'node:os'
import { table, type Row } from './row.ts'

const benches: Readonly<Record<string, (parts: string) => Promise<readonly Row[]>>> = {
  start: async () => (await import('./start.ts')).rows(),
  'cold-start': async () => (await import('./cold-start.ts')).rows(),
  warm: async () => (await import('./warm.ts')).rows(),
  rebuild: async () => (await import('./rebuild.ts')).rows(),
  proxy: async () => (await import('./gateway/proxy.ts')).rows(),
  chain: async () => (await import('./gateway/chain.ts')).rows(),
  websocket: async () => (await import('./gateway/websocket.ts')).rows(),
  'proxy-http2': async () => (await import('./gateway/http2.ts')).rows(),
  bodies: async () => (await import('./gateway/bodies.ts')).rows(),
  connections: async () => (await import('./gateway/connections.ts')).rows(),
  workers: async () => (await import('./gateway/workers.ts')).rows(),
  http2: async () => (await import('../src/lib/http2/http2.bench.ts')).benchHttp2(),
  scale: async () => (await import('./five-thousand.ts')).rows(),
  containers: async () => (await import('./containers.ts')).rows(),
  images: async () => (await import('./images.ts')).rows(),
  api: async () => (await import('./api.ts')).rows(),
  events: async (parts) =>
    (await import('./events/events.ts')).rows({ only: parts === '' ? [] : parts.split(',') }),
  store: async () => (await import('../src/kube/store/store.bench.ts')).benchStore(),
}

/** Those that need to be named; what follows `=` is for them. */
const named: Readonly<Record<string, (argument: string) => Promise<readonly Row[]>>> = {
  profile: async () => (await import('./gateway/profile.ts')).rows(),
  compare: async (checkout) => (await import('./gateway/compare.ts')).rows(checkout),
}

const wanted = process.argv.slice(2)
const given = new Map(
  wanted.map((text) => {
    const [name = '', ...rest] = text.split('=')
    return [name, rest.join('=')]
  }),
)
const unknown = [...given.keys()].filter((name) => !(name in benches || name in named))
if (unknown.length > 0) {
  process.stderr.write(
    `unknown bench ${unknown.join(', ')}; there are ${Object.keys({ ...benches, ...named }).join(', ')}\n`,
  )
  process.exit(2)
}
const rows: Row[] = []
for (const [name, bench] of Object.entries({ ...benches, ...named })) {
  const argument = given.get(name)
  if (argument === undefined && (wanted.length > 0 || name in named)) continue
  process.stderr.write(`${name} …\n`)
  rows.push(...(await bench(argument ?? '')))
}
const cores = cpus()
process.stdout.write(
  `\`npm run bench${wanted.map((name) => ` ${name}`).join('')}\`, ${new Date().toISOString().slice(0, 10)}, ` +
    `${cores.length} cores (${cores[0]?.model.trim() ?? 'unknown'}), ` +
    `Node ${process.versions.node}, ${process.platform}\n\n${table(rows)}\n`,
)
