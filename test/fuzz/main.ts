/** `npm run fuzz -- [--target gateway|api|events] [--seconds N] [--seed N]`: the gateway for a minute by default. Ends with 1 and the seed of the round at the first broken promise. */
import { parseArgs } from 'node:util'
import { fuzz } from './fuzz.ts'

const { values } = parseArgs({
  options: {
    target: { type: 'string', default: 'gateway' },
    seconds: { type: 'string', default: '60' },
    seed: { type: 'string', default: String(Math.floor(Math.random() * 1e9)) },
  },
})
const seed = Number(values.seed)
const durationMs = Number(values.seconds) * 1000
if (!Number.isSafeInteger(seed) || !(durationMs > 0)) {
  console.error('--seconds wants a number above 0 and --seed a whole number')
  process.exit(2)
}
if (!['gateway', 'api', 'events'].includes(values.target)) {
  console.error('--target wants gateway, api or events')
  process.exit(2)
}
console.log(`fuzzing the ${values.target} for ${values.seconds} s, seed ${seed}`)
if (values.target === 'events') {
  const { fuzzEvents } = await import('./events.ts')
  const { rounds, statuses, heapMb } = await fuzzEvents({ seed, durationMs })
  console.log(
    `${rounds} rounds, answers ${JSON.stringify(statuses)}, heap ${heapMb.join(' to ')} MB: nothing found`,
  )
  process.exit(0)
}
if (values.target === 'api') {
  const { fuzzApi } = await import('./api.ts')
  const { rounds, requests, watches, codes, heapMb } = await fuzzApi({
    seed,
    durationMs,
    say: console.log,
  })
  console.log(
    `${rounds} rounds, ${requests} requests, ${watches} watches, answers ${JSON.stringify(codes)}, heap ${heapMb.join(' to ')} MB: nothing found`,
  )
  process.exit(0)
}
const { rounds, connections, requests, heapMb } = await fuzz({ seed, durationMs, say: console.log })
console.log(
  `${rounds} rounds, ${connections} connections, ${requests} requests seen by pods, heap ${heapMb.join(' to ')} MB: nothing found`,
)
