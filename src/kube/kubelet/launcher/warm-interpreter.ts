/**
 * What an idle interpreter runs: loads what servers load, then sleeps in a read of descriptor 3 until the launcher says
 * which program to become, and becomes it: environment, working directory, output and arguments are replaced, and Node
 * starts the program as its main module. An ES module, because those leave no trace in `require.cache` or
 * `require.main`; a blocking read, because that leaves nothing on the event loop. The end of the launcher ends it.
 *
 * The one argument names the platform's data directory, for whoever reads a process list.
 */
import { closeSync, openSync, readSync, writeSync } from 'node:fs'
import { createServer, get } from 'node:http'
import Module from 'node:module'
import { resolve } from 'node:path'
import type { Specialisation } from './protocol.ts'
// Loaded so that the program's import of them is instant.
import 'node:net'
import 'node:url'
import 'node:util'
import 'node:stream'
import 'node:events'
import 'node:fs/promises'

const channel = 3
const requests = 2

await exerciseHttp()
writeSync(channel, '.')
const told = read()
if (told === undefined) process.exit(0)
become(told)

/**
 * Serves itself a request: functions of node:http compile at their first call, which would otherwise fall into the
 * first answer (13 against 5 ms). Over a socket without a file, which other network namespaces do not see.
 */
async function exerciseHttp(): Promise<void> {
  const path = `\0ebb-idle-${process.pid}`
  const server = createServer((_request, response) => response.end('ok'))
  await new Promise<void>((done) => server.listen(path, done))
  for (let i = 0; i < requests; i++)
    await new Promise<void>((done, failed) => {
      get({ socketPath: path, agent: false }, (response) => {
        response.resume()
        response.once('close', done)
      }).once('error', failed)
    })
  await new Promise<void>((done) => server.close(() => done()))
  // What was closed just now leaves the event loop in its next round.
  await new Promise((done) => setImmediate(done))
}

/** Waits for the one line; undefined at the end of the launcher. */
function read(): Specialisation | undefined {
  const chunk = Buffer.allocUnsafeSlow(65_536)
  const parts: Buffer[] = []
  for (;;) {
    const count = readSync(channel, chunk)
    if (count === 0) return undefined
    parts.push(Buffer.from(chunk.subarray(0, count)))
    if (chunk[count - 1] === 10) return JSON.parse(Buffer.concat(parts).toString('utf8'))
  }
}

function become({ cwd, env, logPath, entry, args, execArgv }: Specialisation): void {
  closeSync(channel)
  // The lowest descriptor that is free is the next to be given out.
  for (const output of [1, 2]) {
    closeSync(output)
    if (openSync(logPath, 'a', 0o644) !== output) process.abort()
  }
  // oxlint-disable-next-line no-restricted-properties -- replaced, not read
  const own = process.env
  for (const name of Object.keys(own)) delete own[name]
  Object.assign(own, env)
  process.chdir(cwd)
  forgetPaths()
  process.argv = [process.execPath, resolve(entry), ...args]
  process.execArgv = [...execArgv]
  if (execArgv.includes('--enable-source-maps')) process.setSourceMapsEnabled(true)
  if (env['NODE_COMPILE_CACHE'])
    Module.enableCompileCache({
      directory: env['NODE_COMPILE_CACHE'],
      portable: env['NODE_COMPILE_CACHE_PORTABLE'] === '1',
    })
  // Not from here: this module would stand in the program's stack traces. And in the next round of the event loop,
  // because its clock stood still while we waited: timers would be due at once.
  const { runMain } = Module
  setImmediate(runMain, process.argv[1])
}

/** Where Node noted how it found this file; the program could see it. */
function forgetPaths(): void {
  const paths: unknown = Reflect.get(Module, '_pathCache')
  if (typeof paths !== 'object' || paths === null) return
  for (const path of Object.keys(paths)) Reflect.deleteProperty(paths, path)
}
