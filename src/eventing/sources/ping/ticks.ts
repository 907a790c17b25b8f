/** When a schedule is due next, by `croner`: loaded with the first source there is, as most platforms have none. */

/**
 * The first moment after `afterMs` (milliseconds since the epoch) that a schedule of five or six fields names, by the wall
 * clock of the zone: one time a day that falls into the hour left out in spring comes at its end, one in the hour that
 * comes twice in autumn comes once; several times go as the clock shows. Undefined = there is none. Throws what is wrong
 * with the schedule.
 */
export type NextTick = (
  schedule: string,
  timezone: string | undefined,
  afterMs: number,
) => number | undefined

/** Schedules that are remembered in parsed form: each takes some 80 KB, and is parsed again in 30 µs. */
const maxRemembered = 32

export async function loadTicks(): Promise<NextTick> {
  const { Cron } = await import('croner')
  const known = new Map<string, InstanceType<typeof Cron>>()
  return (schedule, timezone = 'UTC', afterMs) => {
    const key = `${timezone} ${schedule}`
    let cron = known.get(key)
    if (!cron) {
      cron = new Cron(schedule, { timezone, paused: true })
      if (known.size >= maxRemembered) known.clear()
      known.set(key, cron)
    }
    return cron.nextRun(new Date(afterMs))?.getTime()
  }
}
