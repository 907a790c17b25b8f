/** `ebb controllers`: Knative alone, as a client of any Kubernetes API. */
import { existsSync } from 'node:fs'
import { resolve } from 'node:path'
import { dataDirOf } from '../platform/config.ts'
import { UsageError, type Command } from './command.ts'
import { gatewayAddresses, gatewayFlags } from './gateway-flags.ts'
import { stopSignal } from './stop-signal.ts'

export const controllers: Command = {
  name: 'controllers',
  usage: '--kubeconfig FILE --data-dir DIR [--gateway HOST:PORT]',
  summary: 'Run only the Knative controllers and a gateway against another Kubernetes API',
  details:
    'The data directory is its own, not that of the platform whose API it uses. `ebb up --no-knative` is such an API.',
  flags: {
    kubeconfig: { type: 'string', value: 'FILE', description: 'of the API to work on (required)' },
    ...gatewayFlags,
    domain: { type: 'string', value: 'DOMAIN', description: 'suffix of service URLs' },
    'log-level': {
      type: 'string',
      value: 'LEVEL',
      default: 'info',
      description: 'debug, info or error; the log goes to stderr',
    },
  },
  positionals: [0, 0],
  async run(args, out) {
    const kubeconfig = args.string('kubeconfig')
    if (kubeconfig === undefined) throw new UsageError('--kubeconfig FILE is required')
    if (!existsSync(kubeconfig))
      throw new UsageError(`--kubeconfig ${kubeconfig}: there is no such file`)
    const logLevel = args.string('log-level')
    if (logLevel !== 'debug' && logLevel !== 'info' && logLevel !== 'error')
      throw new UsageError(`--log-level: expected debug, info or error, found "${logLevel}"`)
    const domain = args.string('domain')
    const stop = stopSignal()
    const { startControllers } = await import('../platform/controllers.ts')
    const running = await startControllers(
      {
        kubeconfig: resolve(kubeconfig),
        dataDir: dataDirOf(args.string('data-dir')),
        ...gatewayAddresses(args),
        ...(domain !== undefined && { domain }),
        logLevel,
      },
      stop,
    )
    out.print(`Controllers of  ${running.server}`)
    out.print(`Gateway         ${running.gateway}`)
    if (running.gatewayTls) out.print(`Gateway TLS     ${running.gatewayTls}`)
    out.print(`Ready in ${Math.round(performance.now())} ms. Ctrl-C stops them.`)
    await stop.requested
    await running[Symbol.asyncDispose]()
    return 0
  },
}
