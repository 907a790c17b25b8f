/**
 * `npm run event-crash -- KILLS SEED PLATFORM_KILLS`: the crash harnesses of events in full. Logs and engines in memory on
 * a disk that loses power, then the engine's process, then a whole platform piece by piece. Exit code 1 when an event is
 * lost, or changed, or out of order, or a dead letter without a reason.
 */
import { surviveEngineCrashes } from '../../src/eventing/broker/crash.fixture.ts'
import { surviveCrashes } from '../../src/eventing/log/power-cut.fixture.ts'
import { seededRandom } from '../../src/lib/random.ts'
import { crashEvents, faultsOf } from './harness.ts'
import { crashPlatform } from './platform.ts'

const [kills = '1000', seed = '1', platformKills = '20'] = process.argv.slice(2)
/** Seeds of crashes in memory, several each: of logs alone, and of whole engines. */
const logs = 500
const engines = 100
const started = performance.now()
const seconds = () => ((performance.now() - started) / 1000).toFixed(0)
for (let i = 0; i < logs; i++) await surviveCrashes(Number(seed) + i, 8)
process.stderr.write(`${8 * logs} power cuts and kills of logs in memory, ${seconds()} s\n`)
for (let i = 0; i < engines; i++) await surviveEngineCrashes(Number(seed) + i, 5)
process.stderr.write(`${5 * engines} power cuts and kills of engines in memory, ${seconds()} s\n`)
const tally = await crashEvents({
  kills: Number(kills),
  random: seededRandom(Number(seed)),
  progress(done, acknowledged) {
    if (done % 100 === 0)
      process.stderr.write(`${done} kills, ${acknowledged} acknowledged, ${seconds()} s\n`)
  },
})
if (Number(platformKills) > 0) {
  const random = seededRandom(Number(seed))
  const { lost, ...counts } = await crashPlatform({ kills: Number(platformKills), random })
  process.stdout.write(`${JSON.stringify({ platform: counts, lost: lost.length })}\n`)
  if (lost.length > 0) {
    process.stderr.write(`lost on the platform: ${lost.slice(0, 20).join(', ')}\n`)
    process.exitCode = 1
  }
}
const faults = Object.entries(faultsOf(tally))
const counts = Object.fromEntries(faults.map(([kind, found]) => [kind, found.length]))
process.stdout.write(`${JSON.stringify({ ...tally, ...counts, seconds: seconds() })}\n`)
for (const [kind, found] of faults)
  if (found.length > 0) {
    process.stderr.write(`${kind}: ${found.slice(0, 20).join(', ')}\n`)
    process.exitCode = 1
  }
