/** The walk-throughs of the book about Serving, but for those that other files here go on with; on plain processes. */
import { hellos, routes, samples, walkthroughs } from './walkthroughs/book.ts'
import { runLatest } from './walkthroughs/hello.ts'
import { plain } from './walkthroughs/world.ts'

walkthroughs(plain, [hellos, samples, { ...routes, walkthroughs: [runLatest] }])
