/**
 * Some walk-throughs of the book with real container images from a registry, through mirror rules: in sandboxes of the
 * platform's own, and by Docker. `npm run walkthroughs -- sandbox|docker` walks all of them.
 */
import { few, walkthroughs } from './walkthroughs/book.ts'
import { docker, sandbox } from './walkthroughs/container-worlds.ts'

walkthroughs(sandbox, [few])
walkthroughs(docker, [few])
