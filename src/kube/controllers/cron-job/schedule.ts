/**
 * When a schedule names a time: croner for the five fields, and `@every` by itself. Loaded with the first CronJob only.
 */
import { Cron } from 'croner'
import { everyMs, listedFields } from '../../api/cron-schedule.ts'

export interface Schedule {
  /** The first moment after `afterMs`; undefined when there is none. */
  next(afterMs: number): number | undefined
}

/** Throws for what is no schedule. `anchorMs`: from when `@every` counts. */
export function parseSchedule(
  text: string,
  timeZone: string | undefined,
  anchorMs: number,
): Schedule {
  const every = everyMs(text)
  if (every !== undefined)
    return {
      next: (afterMs) => anchorMs + (Math.floor((afterMs - anchorMs) / every) + 1) * every,
    }
  // Without a zone it is the machine's own, which upstream's controller manager does too.
  const cron = new Cron(listedFields(text), {
    paused: true,
    ...(timeZone !== undefined && { timezone: timeZone }),
  })
  return { next: (afterMs) => cron.nextRun(new Date(afterMs))?.getTime() }
}
