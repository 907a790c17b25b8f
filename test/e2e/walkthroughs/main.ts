/**
 * `npm run walkthroughs -- plain|sandbox|docker [NUMBER…]`: every walk-through of the book that is in this folder, or those of
 * these numbers, in one of the worlds. `npm test` walks all of them in the plain one, and some in the others.
 */
import { book, walkthroughs } from './book.ts'
import { docker, sandbox } from './container-worlds.ts'
import { plain } from './world.ts'

const worlds = { plain, sandbox, docker }
const [, , name = '', ...numbers] = process.argv
const isWanted = (number: string) =>
  numbers.length === 0 || numbers.some((wanted) => number.includes(wanted))
const tours = book
  .map((tour) => ({
    ...tour,
    walkthroughs: tour.walkthroughs.filter(({ number }) => isWanted(number)),
  }))
  .filter((tour) => tour.walkthroughs.length > 0)
const found = Object.entries(worlds).find(([key]) => key === name)?.[1]
if (!found || tours.length === 0) {
  const what = found ? `no walk-through has the number ${numbers.join(', ')}` : `found "${name}"`
  process.stderr.write(`expected ${Object.keys(worlds).join(', ')} and perhaps numbers; ${what}\n`)
  process.exit(2)
}
const missing = found.without()
if (missing !== false) {
  process.stderr.write(`walkthroughs ${name}: ${missing}\n`)
  process.exit(1)
}
walkthroughs(found, tours)
