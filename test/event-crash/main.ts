/** `npm run event-crash -- KILLS SEED`: the crash harness of events in full; exit code 1 when an event is lost. */
import { seededRandom } from '../../src/lib/random.ts'
import { crashEvents } from './harness.ts'

const [kills = '1000', seed = '1'] = process.argv.slice(2)
const started = performance.now()
const seconds = () => ((performance.now() - started) / 1000).toFixed(0)
const tally = await crashEvents({
  kills: Number(kills),
  random: seededRandom(Number(seed)),
  progress(done, acknowledged) {
    if (done % 100 === 0)
      process.stderr.write(`${done} kills, ${acknowledged} acknowledged, ${seconds()} s\n`)
  },
})
const { lost, unexplained } = tally
const counts = { ...tally, lost: lost.length, unexplained: unexplained.length, seconds: seconds() }
process.stdout.write(`${JSON.stringify(counts)}\n`)
if (lost.length + unexplained.length > 0) {
  const some = (keys: readonly string[]) => keys.slice(0, 20).join(', ')
  process.stderr.write(`lost: ${some(lost)}; dead letters without reason: ${some(unexplained)}\n`)
  process.exit(1)
}
