/**
 * One simulated life of the platform: trouble, healing, rest, silence, a knock at every door. The same seed gives the
 * same life.
 */
import { Service } from '../../src/serving/api/service.ts'
import { keyOf, keyText } from '../../src/kube/api/meta.ts'
import { complaintsAtRest, restlessKeys } from './invariants.ts'
import { isReady, Operations } from './operations.ts'
import { Witness } from './witness.ts'
import { World } from './world.ts'

interface Run {
  readonly complaints: readonly string[]
  readonly writes: number
  readonly requests: number
  /** Of simulated time. */
  readonly minutes: number
  /** Says whether two runs were the same. */
  readonly fingerprint: string
}

/** Long enough for progress deadlines, back-offs, scale-down delays and graces. */
const healingMs = 1_500_000
const restMs = 600_000
const knockMs = 30_000

export async function simulate(
  seed: number,
  steps: number,
  tell: (line: string) => void = () => {},
): Promise<Run> {
  const world = new World({ seed, tell })
  const { clock, store, gateway } = world
  world.start()
  await clock.advance(1_000)
  const witness = new Witness(world)
  const operations = new Operations(world, witness)

  await operations.collectEagerly()
  for (let step = 0; step < steps && world.violations.size === 0; step++) await operations.step()
  if (world.violations.size === 0) {
    world.say('healing')
    await operations.heal()
    await clock.advance(healingMs)
    const note = (complaints: readonly string[]) => {
      for (const complaint of complaints) world.violation(complaint)
    }
    note(complaintsAtRest(world, witness))
    witness.forget()
    world.say('rest')
    await clock.advance(restMs)
    note(restlessKeys(witness))
    world.say('knocking')
    for (const service of witness.all(Service))
      if (isReady(service) && !(await operations.knock(service, knockMs)))
        world.violation(`nobody answers for Service ${keyText(keyOf(service))}`)
    await clock.advance(300_000)
    note(complaintsAtRest(world, witness))
    if (gateway.open > 0 && gateway.held === 0)
      world.violation(`${gateway.open} requests were lost`)
  }
  const result: Run = {
    complaints: [...world.violations],
    writes: store.revision,
    requests: gateway.issued,
    minutes: Math.round(clock.monotonic() / 60_000),
    fingerprint: `${store.revision} ${JSON.stringify(gateway.outcomes)} ${world.random.next()}`,
  }
  world.crash()
  return result
}
