/** Real registries for end-to-end tests: Debian's docker-registry, open, with a password, or with a token server. */
import { randomUUID, sign, X509Certificate } from 'node:crypto'
import { spawn, spawnSync } from 'node:child_process'
import { createServer } from 'node:http'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer as createTcpServer, type AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { installed } from './installed.ts'
import { run, until } from './platform.ts'

export const withoutRegistry: string | false =
  !(installed('docker-registry', 'docker-registry') && installed('skopeo', 'skopeo')) &&
  'docker-registry and skopeo are not on this machine and can not be installed here'

export interface DockerRegistry extends AsyncDisposable {
  /** `127.0.0.1:PORT`. */
  readonly host: string
}

export interface RegistryAuth {
  /** User and password for Basic. */
  readonly htpasswd?: readonly [string, string]
  readonly token?: TokenServer
  readonly tls?: { readonly cert: string; readonly key: string }
}

export async function startDockerRegistry({
  htpasswd,
  token,
  tls,
}: RegistryAuth = {}): Promise<DockerRegistry> {
  const folder = await mkdtemp(join(tmpdir(), 'ebb-registry-'))
  const port = await freePort()
  const auth: object[] = []
  if (htpasswd) {
    const [user, password] = htpasswd
    const { stdout } = spawnSync('htpasswd', ['-nbB', '-C', '4', user, password], {
      encoding: 'utf8',
    })
    await writeFile(join(folder, 'htpasswd'), stdout)
    auth.push({ htpasswd: { realm: 'test', path: join(folder, 'htpasswd') } })
  }
  if (token) {
    await writeFile(join(folder, 'token.pem'), token.certificate)
    const settings = { realm: token.realm, service: 'test', issuer: 'test' }
    auth.push({ token: { ...settings, rootcertbundle: join(folder, 'token.pem') } })
  }
  if (tls) {
    await writeFile(join(folder, 'tls.crt'), tls.cert)
    await writeFile(join(folder, 'tls.key'), tls.key)
  }
  const config = {
    version: 0.1,
    log: { level: 'error', accesslog: { disabled: true } },
    storage: { filesystem: { rootdirectory: join(folder, 'data') }, delete: { enabled: true } },
    http: {
      addr: `127.0.0.1:${port}`,
      ...(tls && { tls: { certificate: join(folder, 'tls.crt'), key: join(folder, 'tls.key') } }),
    },
    ...(auth.length > 0 && { auth: Object.assign({}, ...auth) as object }),
  }
  await writeFile(join(folder, 'config.yml'), JSON.stringify(config)) // JSON is YAML
  const child = spawn('docker-registry', ['serve', join(folder, 'config.yml')], { stdio: 'ignore' })
  const ended = new Promise((resolve) => child.once('exit', resolve))
  await until('the registry answers', () =>
    fetch(`http${tls ? 's' : ''}://127.0.0.1:${port}/`).then(
      () => true,
      (error: unknown) => String((error as Error).cause).includes('certificate'),
    ),
  )
  return {
    host: `127.0.0.1:${port}`,
    async [Symbol.asyncDispose]() {
      child.kill('SIGKILL')
      await ended
      await rm(folder, { recursive: true, force: true })
    },
  }
}

export interface TokenServer extends AsyncDisposable {
  readonly realm: string
  readonly certificate: string
  /** Scopes for which tokens were given. */
  readonly given: readonly string[]
}

/** Gives tokens for one user, as distribution's token specification has it; self-signed by the given certificate. */
export async function startTokenServer(
  user: string,
  password: string,
  { cert, key }: { readonly cert: string; readonly key: string },
): Promise<TokenServer> {
  const given: string[] = []
  const chain = [new X509Certificate(cert).raw.toString('base64')]
  const server = createServer((request, response) => {
    const basic = `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`
    if (request.headers.authorization !== basic) {
      response.writeHead(401).end('{"details":"incorrect username or password"}')
      return
    }
    const { searchParams } = new URL(request.url ?? '', 'http://x')
    const access = searchParams.getAll('scope').map((scope) => {
      given.push(scope)
      const [, type = '', name = '', actions = ''] = /^(\w+):(.*):([\w,]*)$/.exec(scope) ?? []
      return { type, name, actions: actions.split(',') }
    })
    const nowSeconds = Math.floor(Date.now() / 1000)
    const part = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url')
    const claims = {
      iss: 'test',
      sub: user,
      aud: 'test',
      exp: nowSeconds + 300,
      nbf: nowSeconds - 10,
      iat: nowSeconds,
      jti: randomUUID(),
      access,
    }
    const text = `${part({ typ: 'JWT', alg: 'RS256', x5c: chain })}.${part(claims)}`
    const token = `${text}.${sign('sha256', Buffer.from(text), key).toString('base64url')}`
    response.end(JSON.stringify({ token, expires_in: 300 }))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    realm: `http://127.0.0.1:${(server.address() as AddressInfo).port}/token`,
    certificate: cert,
    given,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

/** A self-signed certificate for 127.0.0.1 by openssl. */
export async function selfSigned(): Promise<{ readonly cert: string; readonly key: string }> {
  const folder = await mkdtemp(join(tmpdir(), 'ebb-cert-'))
  const file = (name: string) => join(folder, name)
  const words = 'req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=127.0.0.1'.split(' ')
  const name = ['-addext', 'subjectAltName=IP:127.0.0.1']
  const files = ['-keyout', file('key'), '-out', file('cert')]
  const { code, stderr } = await run('openssl', [...words, ...name, ...files])
  if (code !== 0) throw new Error(stderr)
  const { readFile } = await import('node:fs/promises')
  const pair = {
    cert: await readFile(file('cert'), 'utf8'),
    key: await readFile(file('key'), 'utf8'),
  }
  await rm(folder, { recursive: true, force: true })
  return pair
}

async function freePort(): Promise<number> {
  const server = createTcpServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  await new Promise((resolve) => server.close(resolve))
  return port
}

/** skopeo that must succeed. */
export async function skopeo(...args: readonly string[]): Promise<string> {
  const { code, stdout, stderr } = await run('skopeo', ['--insecure-policy', ...args])
  if (code !== 0) throw new Error(`skopeo ${args.join(' ')}: ${stderr}`)
  return stdout
}
