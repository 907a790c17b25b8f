/** `.ebbignore` and `.dockerignore`: which files of a project stay out of its image. Rules as in Docker's build reference. */

import { BuildError } from './build-error.ts'

interface Rule {
  readonly keep: boolean
  readonly pattern: RegExp
}

/** Answers whether a path, relative to the project and with `/` between its parts, is left out. Throws BuildError. */
export function ignoreRules(text: string): (path: string) => boolean {
  const rules: Rule[] = []
  for (const raw of text.split('\n')) {
    const line = raw.trim()
    if (line === '' || line.startsWith('#')) continue
    const keep = line.startsWith('!')
    const glob = (keep ? line.slice(1).trim() : line).replace(/^\.?\/+/, '').replace(/\/+$/, '')
    if (glob !== '' && glob !== '.') rules.push({ keep, pattern: globPattern(glob) })
  }
  // The last rule that matches wins.
  return (path) => rules.findLast(({ pattern }) => pattern.test(path))?.keep === false
}

/** `*` within a part, `**` over any number of parts; what lies below a match matches too. */
function globPattern(glob: string): RegExp {
  let source = ''
  for (let i = 0; i < glob.length; i++) {
    const letter = glob[i] ?? ''
    if (letter === '*' && glob[i + 1] === '*') {
      i++
      if (glob[i + 1] === '/') {
        i++
        source += '(?:[^/]+/)*'
      } else source += '.*'
    } else if (letter === '*') source += '[^/]*'
    else if (letter === '?') source += '[^/]'
    else if (letter === '[' && glob.indexOf(']', i + 2) > 0) {
      // A set of letters, `^` for all others (Go's filepath.Match).
      const end = glob.indexOf(']', i + 2)
      source += `[${glob.slice(i + 1, end).replace(/[[\\]/g, '\\$&')}]`
      i = end
    } else if (letter === '\\' && i + 1 < glob.length)
      source += (glob[++i] ?? '').replace(/[.+*?^${}()|[\]\\]/g, '\\$&')
    else source += letter.replace(/[.+^${}()|[\]\\]/g, '\\$&')
  }
  try {
    return new RegExp(`^${source}(?:/.*)?$`)
  } catch (error) {
    throw new BuildError(`"${glob}" in .dockerignore is no pattern`, { cause: error })
  }
}
