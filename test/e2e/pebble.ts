/**
 * Pebble, Let's Encrypt's small ACME server for tests, from the Go module proxy, with a name server for which every name is
 * this machine. Needs Go; the first use on a machine builds it, which takes a minute.
 */
import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer, type AddressInfo, type Server } from 'node:net'
import { get } from 'node:https'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { issue } from '../../src/platform/access/certificate-issue.ts'
import { run, until } from './platform.ts'

const version = 'v2.10.1'
const folder = join(tmpdir(), `ebb-pebble-${version}`)
const binary = join(folder, 'pebble')

/** Builds it when it is not there. Answers why it can't be had, or false. */
export async function withoutPebble(): Promise<string | false> {
  if (existsSync(binary)) return false
  const go = await run('go', ['version'])
  if (go.code !== 0) return 'no Go on this machine: install Go to run this test'
  await mkdir(folder, { recursive: true })
  const built = await run(
    'go',
    ['install', `github.com/letsencrypt/pebble/v2/cmd/pebble@${version}`],
    {
      env: { GOBIN: folder },
      timeoutMs: 300_000,
    },
  )
  return existsSync(binary) ? false : `pebble could not be built: ${built.stderr.trim()}`
}

export interface Pebble extends AsyncDisposable {
  readonly directoryUrl: string
  /** PEM of the authority that its own server certificate is trusted by. */
  readonly serverCa: string
  /** PEM of the authority that signs. */
  readonly root: string
  readonly output: string
}

/** `httpPort`: where challenges are asked for. */
export async function startPebble({
  httpPort,
  validitySeconds,
}: {
  readonly httpPort: number
  readonly validitySeconds: number
}): Promise<Pebble> {
  const directory = await mkdtemp(join(tmpdir(), 'ebb-pebble-run-'))
  const day = 86_400_000
  const server = await issue({
    subject: 'CN=pebble',
    authority: true,
    hosts: ['localhost'],
    ips: ['127.0.0.1'],
    notBefore: new Date(Date.now() - day),
    notAfter: new Date(Date.now() + day),
  })
  await writeFile(join(directory, 'server.crt'), server.cert)
  await writeFile(join(directory, 'server.key'), server.key)
  const names = await startNames()
  const [acmePort, managementPort] = await Promise.all([freePort(), freePort()])
  const config = {
    pebble: {
      listenAddress: `127.0.0.1:${acmePort}`,
      managementListenAddress: `127.0.0.1:${managementPort}`,
      certificate: join(directory, 'server.crt'),
      privateKey: join(directory, 'server.key'),
      httpPort,
      tlsPort: 5001,
      ocspResponderURL: '',
      externalAccountBindingRequired: false,
      profiles: { default: { description: 'short', validityPeriod: validitySeconds } },
    },
  }
  await writeFile(join(directory, 'config.json'), JSON.stringify(config))
  const dns = `127.0.0.1:${(names.address() as AddressInfo).port}`
  const child = spawn(binary, ['-config', join(directory, 'config.json'), '-dnsserver', dns], {
    // Nonces are refused now and then, as a busy authority does.
    env: { PEBBLE_VA_NOSLEEP: '1', PEBBLE_WFE_NONCEREJECT: '20' },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let output = ''
  child.stdout.on('data', (chunk: Buffer) => (output += chunk))
  child.stderr.on('data', (chunk: Buffer) => (output += chunk))
  await until('pebble listens', () => {
    if (child.exitCode !== null) throw new Error(`pebble ended: ${output}`)
    return output.includes('ACME directory available')
  })
  const root = await until('the root of pebble', () =>
    body(`https://127.0.0.1:${managementPort}/roots/0`, server.cert).catch(() => undefined),
  )
  return {
    directoryUrl: `https://127.0.0.1:${acmePort}/dir`,
    serverCa: server.cert,
    root,
    get output() {
      return output
    },
    async [Symbol.asyncDispose]() {
      child.kill('SIGKILL')
      names.close()
      await rm(directory, { recursive: true, force: true })
    },
  }
}

const body = (url: string, ca: string): Promise<string> =>
  new Promise((resolve, reject) => {
    get(url, { ca }, (response) => {
      let text = ''
      response.on('data', (chunk: Buffer) => (text += chunk))
      response.on('end', () => resolve(text))
    }).on('error', reject)
  })

async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  await new Promise((resolve) => server.close(resolve))
  return port
}

/** DNS over TCP, as Pebble asks: every A record is 127.0.0.1, there is nothing else. */
async function startNames(): Promise<Server> {
  const server = createServer((socket) => {
    socket.on('error', () => {})
    socket.on('data', (bytes) => {
      const query = bytes.subarray(2)
      let end = 12
      for (let length = query[end]; length; length = query[end]) end += length + 1
      const isA = query.readUInt16BE(end + 1) === 1
      const head = [query[0] ?? 0, query[1] ?? 0, 0x81, 0x80, 0, 1, 0, isA ? 1 : 0, 0, 0, 0, 0]
      const record = [0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 1, 0, 4, 127, 0, 0, 1]
      const answer = Buffer.concat([
        Buffer.from(head),
        query.subarray(12, end + 5),
        Buffer.from(isA ? record : []),
      ])
      const size = Buffer.alloc(2)
      size.writeUInt16BE(answer.length)
      socket.write(Buffer.concat([size, answer]))
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return server
}
