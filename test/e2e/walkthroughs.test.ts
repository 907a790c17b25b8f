/**
 * Some walk-throughs of the book with real container images from a registry, through mirror rules: in sandboxes of the
 * platform's own, and by Docker. `npm run walkthroughs -- sandbox|docker` walks all of them.
 */
import { describe } from 'node:test'
import { few, walkthroughs } from './walkthroughs/book.ts'
import { docker, sandbox } from './walkthroughs/container-worlds.ts'

// Both at once: most of it is waiting for pods to go.
describe('real images', { concurrency: 2 }, () => {
  walkthroughs(sandbox, [few])
  walkthroughs(docker, [few])
})
