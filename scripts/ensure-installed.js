// Plain JavaScript, because it runs on whatever Node the machine has: installs the dependencies
// (Node 24 among them) when they are missing or older than package-lock.json, so that `npm start`
// and `npm test` work alone in a fresh clone.
import { spawnSync } from 'node:child_process'
import { statSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url))
const modified = (path) => {
  try {
    return statSync(root + path).mtimeMs
  } catch {
    return 0
  }
}

const installed = modified('node_modules/.package-lock.json')
if (modified('node_modules/.bin/node') === 0 || installed < modified('package-lock.json') - 1000) {
  process.stderr.write('Installing dependencies …\n')
  // Not `npm ci`: it refuses when a registry mirror lacks the tools' binaries for platforms other than this one.
  const { status } = spawnSync(
    'npm',
    ['install', '--no-save', '--no-audit', '--no-fund', '--loglevel=error'],
    { cwd: root, stdio: ['ignore', 'ignore', 'inherit'] },
  )
  if (status !== 0) {
    process.stderr.write('npm install failed; run it by hand to see why.\n')
    process.exit(1)
  }
}
