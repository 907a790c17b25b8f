import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Cron } from 'croner'
import fc from 'fast-check'
import { listedFields, scheduleProblem } from './cron-schedule.ts'

test('fields as plain lists', () => {
  const lists: readonly (readonly [string, string])[] = [
    ['* * * * *', '* * * * *'],
    ['@daily', '0 0 * * *'],
    ['5/20 ? */1 JAN-mar MON,fri', '5,25,45 * * 1,2,3 1,5'],
    ['0-10/5,7 */12 1,* 2 0-6', '0,5,7,10 0,12 * 2 0,1,2,3,4,5,6'],
    ['*/30 */20 * * * *', '0,30 0,20,40 * * * *'],
    ['*/100 0 30 2 *', '0 0 30 2 *'],
    ['not a schedule', 'not a schedule'],
    ['61 * * * *', '61 * * * *'],
  ]
  for (const [schedule, expected] of lists) assert.equal(listedFields(schedule), expected, schedule)
})

test('every schedule that is taken can be read', () => {
  const word = (min: number, max: number) => fc.integer({ min, max }).map(String)
  const range = (min: number, max: number, names: readonly string[] = []) => {
    const value =
      names.length > 0 ? fc.oneof(word(min, max), fc.constantFrom(...names)) : word(min, max)
    const base = fc.oneof(
      fc.constant('*'),
      fc.constant('?'),
      value,
      fc.tuple(value, value).map((pair) => pair.join('-')),
    )
    const step = fc.oneof(
      fc.constant(''),
      fc.integer({ min: 0, max: 120 }).map((by) => `/${by}`),
    )
    return fc
      .array(
        fc.tuple(base, step).map((both) => both.join('')),
        { minLength: 1, maxLength: 3 },
      )
      .map((all) => all.join(','))
  }
  const schedule = fc.tuple(
    range(0, 59),
    range(0, 23),
    range(1, 31),
    range(1, 12, ['jan', 'Dec']),
    range(0, 7, ['SUN', 'sat']),
  )
  let taken = 0
  fc.assert(
    fc.property(schedule, (fields) => {
      const text = fields.join(' ')
      if (scheduleProblem(text) !== undefined) return
      taken++
      new Cron(listedFields(text), { paused: true })
    }),
    { numRuns: 300 },
  )
  assert.ok(taken > 20, `${taken}`)
})
