/** `npm run soak -- [MINUTES] [SEED]`: the soak in full; ten minutes by default. Ends with 1 when a failure is unexplained. */
import { soak } from './soak.ts'

const [minutes = '10', seed = String(Math.floor(Math.random() * 1e6))] = process.argv.slice(2)
console.log(`soak of ${minutes} minutes, seed ${seed}`)
const { account, faults, explained, unexplained } = await soak({
  seed: Number(seed),
  durationMs: Number(minutes) * 60_000,
  clients: 40,
  faultEveryMs: 4_000,
  say: console.log,
})
const counts = Map.groupBy(faults, ({ what }) => what)
console.log(
  `${account.sent} requests sent, ${account.answered} answered rightly by ${account.byRevision.size} revisions`,
)
console.log(
  `${account.resent} sent anew on a new connection, as clients do when one closes at rest`,
)
console.log(`longest answer ${Math.round(account.longestMs)} ms`)
console.log(`faults: ${[...counts].map(([what, of]) => `${of.length} × ${what}`).join(', ')}`)
console.log(
  `${explained.length} failures explained by a killed pod, ${unexplained.length} unexplained`,
)
for (const failure of [...unexplained, ...explained].slice(0, 20))
  console.log(JSON.stringify(failure))
process.exitCode = unexplained.length > 0 ? 1 : 0
