#!/usr/bin/env node
// Plain JavaScript that any Node can read: finds Node 24 and starts the CLI with it. A checkout runs src/ as it
// is; the published package runs dist/, because Node does not strip types below node_modules.
import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import module from 'node:module'
import { fileURLToPath } from 'node:url'

const wanted = 24
const here = (path) => fileURLToPath(new URL(path, import.meta.url))

if (Number(process.versions.node.split('.')[0]) >= wanted) {
  module.enableCompileCache?.()
  const built = here('../dist/cli/main.js')
  const entry = existsSync(here('../src/cli/main.ts'))
    ? '../src/cli/main.ts'
    : '../dist/cli/main.js'
  if (entry.endsWith('.js') && !existsSync(built)) {
    process.stderr.write('ebb: neither src/ nor dist/ is here; reinstall the package\n')
    process.exit(1)
  }
  const { main } = await import(entry)
  await main(process.argv.slice(2))
} else {
  const local = here('../node_modules/node/bin/node')
  const [command, args] = existsSync(local)
    ? [local, []]
    : ['npx', ['--yes', `--package=node@${wanted}`, '--', 'node']]
  const child = spawn(command, [...args, here('ebb.js'), ...process.argv.slice(2)], {
    stdio: 'inherit',
  })
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal))
  child.on('error', (error) => {
    process.stderr.write(
      `ebb: needs Node ${wanted} or newer, found ${process.versions.node}, and could not start one: ${error.message}\n`,
    )
    process.exit(1)
  })
  child.on('exit', (code, signal) => process.exit(signal ? 1 : (code ?? 1)))
}
