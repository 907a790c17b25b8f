/** The walk-throughs of the book about Eventing on plain processes; 18 and 19 are with the sources. */
import { events, walkthroughs } from './walkthroughs/book.ts'
import { plain } from './walkthroughs/world.ts'

walkthroughs(plain, [events])
