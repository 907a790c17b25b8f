/** NATS with JetStream and RabbitMQ as Debian has them: each with ports and a data folder of its own, on the loopback address. */
import { spawn } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { freePort } from '../gateway/peers.ts'
import { ended, said } from './engine.ts'
import { natsConnection } from './nats.ts'

export interface Server extends AsyncDisposable {
  readonly port: number
  readonly pids: readonly number[]
}

/** With a stream EVENTS in files, of the subject `events`. */
export async function natsServer(folder: string): Promise<Server> {
  const port = await freePort()
  const child = spawn(
    'nats-server',
    ['-js', '-sd', join(folder, 'nats'), '-a', '127.0.0.1', '-p', String(port)],
    { stdio: ['ignore', 'ignore', 'pipe'] },
  )
  await said(child, child.stderr, /Server is ready/)
  const admin = await natsConnection(port)
  const stream = { name: 'EVENTS', subjects: ['events'], storage: 'file' }
  const answer = await admin.request(
    '$JS.API.STREAM.CREATE.EVENTS',
    Buffer.from(JSON.stringify(stream)),
  )
  admin.close()
  if (answer.includes('"error"')) throw new Error(`NATS made no stream: ${answer}`)
  return {
    port,
    pids: [child.pid ?? 0],
    [Symbol.asyncDispose]: () => ended(child),
  }
}

/** Not the wrapper in /usr/sbin, which goes on as another user with the machine's own data. */
export const rabbitMqScript = '/usr/lib/rabbitmq/bin/rabbitmq-server'

/** A node of its own name, with its own epmd (Erlang's register of nodes), cookie and plugins (none). */
export async function rabbitMq(folder: string): Promise<Server> {
  const [port, distPort, epmdPort] = [await freePort(), await freePort(), await freePort()]
  const home = join(folder, 'rabbitmq')
  mkdirSync(home)
  writeFileSync(join(home, 'rabbitmq.conf'), '')
  writeFileSync(join(home, 'enabled_plugins'), '[].')
  const epmd = spawn('epmd', ['-port', String(epmdPort), '-address', '127.0.0.1'], {
    stdio: 'ignore',
  })
  const child = spawn(rabbitMqScript, {
    stdio: ['ignore', 'pipe', 'ignore'],
    env: {
      PATH: process.env['PATH'],
      HOME: home,
      RUNNING_UNDER_SYSTEMD: 'true', // the script becomes the server
      ERL_EPMD_PORT: String(epmdPort),
      ERL_EPMD_ADDRESS: '127.0.0.1',
      RABBITMQ_NODENAME: `ebb-bench-${process.pid}@localhost`,
      RABBITMQ_MNESIA_BASE: join(home, 'data'),
      RABBITMQ_LOG_BASE: join(home, 'log'),
      RABBITMQ_LOGS: '-',
      RABBITMQ_NODE_IP_ADDRESS: '127.0.0.1',
      RABBITMQ_NODE_PORT: String(port),
      RABBITMQ_DIST_PORT: String(distPort),
      RABBITMQ_CONF_ENV_FILE: '/dev/null',
      RABBITMQ_CONFIG_FILE: join(home, 'rabbitmq'),
      RABBITMQ_ENABLED_PLUGINS_FILE: join(home, 'enabled_plugins'),
      RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS: '-kernel inet_dist_use_interface {127,0,0,1}',
    },
  })
  const end = async () => {
    await ended(child)
    await ended(epmd)
  }
  try {
    await said(child, child.stdout, /Server startup complete/)
  } catch (error) {
    await end()
    throw error
  }
  return { port, pids: [child.pid ?? 0], [Symbol.asyncDispose]: end }
}
