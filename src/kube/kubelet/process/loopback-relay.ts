/**
 * Connections to the loopback of a pod's own network, where a program listens that nobody outside is to reach: what
 * port-forward promises. Only a process inside that network gets there, so a small one is started for each connection.
 */
import { spawn } from 'node:child_process'
import { Duplex } from 'node:stream'
import type { Clock } from '../../../lib/clock.ts'

const connectLimitMs = 10_000
/** Each is a process of some 40 MB. */
const maxRelays = 32
let relays = 0

/** Says `+` once it is connected, then passes bytes; or says why not. */
const program = `
const net = require('node:net')
const hosts = ['127.0.0.1', '::1']
const dial = () => {
  const socket = net.connect({ host: hosts.shift(), port: Number(process.argv[1]), allowHalfOpen: true })
  const fail = (error) => {
    if (hosts.length > 0 && error.code === 'ECONNREFUSED') return dial()
    process.stderr.write(error.message, () => process.exit(1))
  }
  socket.once('error', fail)
  socket.once('connect', () => {
    socket.off('error', fail).on('error', () => process.exit(0))
    process.stdout.on('error', () => process.exit(0)).write('+')
    process.stdin.pipe(socket).pipe(process.stdout)
  })
}
dial()
`

/** `enter` begins the command line of what runs in that network. Rejects when nobody listens there. */
export async function dialLoopback(
  enter: readonly string[],
  port: number,
  clock: Clock,
): Promise<Duplex> {
  if (relays >= maxRelays)
    throw new Error(
      `more than ${maxRelays} connections to port ${port} at a time; a server that listens on all addresses takes any number`,
    )
  const [file, ...args] = [...enter, process.execPath, '-e', program, String(port)]
  const child = spawn(file, args, { cwd: '/', env: {}, stdio: ['pipe', 'pipe', 'pipe'] })
  relays++
  child.once('close', () => relays--)
  child.once('error', () => child.pid === undefined && relays--)
  const { stdin, stdout, stderr } = child
  stdin.on('error', () => {})
  stdout.on('error', () => {})
  let said = ''
  stderr.on('data', (chunk: Buffer) => (said = (said + chunk.toString('utf8')).slice(0, 1000)))
  const cancel = clock.after(connectLimitMs, () => child.kill('SIGKILL'))
  await new Promise<void>((resolve, reject) => {
    child.once('error', reject)
    stdout.once('readable', () => {
      if (stdout.read(1) !== null) resolve()
    })
    child.once('close', () => reject(new Error(said || `connect 127.0.0.1:${port}: no answer`)))
  }).finally(cancel)
  const connection = Duplex.from({ readable: stdout, writable: stdin })
  connection.once('close', () => child.kill('SIGKILL'))
  return connection
}
