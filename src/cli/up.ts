/** `ebb up`: the whole platform in the foreground. */
import { spawn } from 'node:child_process'
import { resolve } from 'node:path'
import { InUse } from '../platform/control-socket.ts'
import {
  dataDirOf,
  registryEnvironment,
  defaultApi,
  dockerEnvironment,
  parseAddress,
  parseRegistryAddress,
  type PlatformConfig,
} from '../platform/config.ts'
import { UsageError, type Arguments, type Command, type Output } from './command.ts'
import { addressOf, gatewayAddresses, gatewayFlags } from './gateway-flags.ts'
import { stopSignal } from './stop-signal.ts'

/** Each takes some 15 MB. */
const maxWarmInterpreters = 32

export const up: Command = {
  name: 'up',
  usage: '[--api HOST:PORT] [--gateway HOST:PORT] [--deploy DIR]',
  summary: 'Start the platform: API server, controllers, node agent, gateway',
  details:
    'Runs until SIGINT, SIGTERM or `ebb down`, then stops every pod. Port 0 means any free port.\n' +
    'When ready, DIR/endpoints.json and DIR/kubeconfig say how to reach it.',
  flags: {
    api: { type: 'string', value: 'HOST:PORT', default: defaultApi, description: 'API server' },
    ...gatewayFlags,
    domain: {
      type: 'string',
      value: 'DOMAIN',
      description: 'suffix of service URLs (default localhost; config-domain can say more)',
    },
    runtime: {
      type: 'string',
      value: 'NAME',
      default: 'auto',
      description: 'what runs containers: auto, process or docker (auto = process)',
    },
    network: {
      type: 'string',
      value: 'KIND',
      default: 'auto',
      description: 'pods get network namespaces, or share the host: auto, namespaces or host',
    },
    'allow-privileged': {
      type: 'boolean',
      description: 'containers may be privileged',
    },
    'warm-interpreters': {
      type: 'string',
      value: 'N',
      default: '1',
      description: 'Node processes kept started for pods to come, once one was started; 0 = none',
    },
    'no-knative': {
      type: 'boolean',
      description: 'API, workloads and node agent only; run `ebb controllers` beside it',
    },
    deploy: {
      type: 'string',
      value: 'DIR',
      multiple: true,
      description: 'build and deploy this folder once ready (may be repeated)',
    },
    'gateway-workers': {
      type: 'string',
      value: 'N',
      default: '1',
      description: 'threads of the gateway that serve, for machines with more than two cores',
    },
    registry: {
      type: 'string',
      value: 'HOST:PORT',
      description: 'where images are pushed to, or off (default: 127.0.0.1:5000)',
    },
    registries: {
      type: 'string',
      value: 'FILE',
      description: 'mirrors and credentials, as in registries.yaml of k3s; config-registries wins',
    },
    offline: { type: 'boolean', description: 'ask no registry for images' },
    'audit-log': {
      type: 'string',
      value: 'FILE',
      description: 'write down every request to the API, a line of JSON each',
    },
    'audit-policy': {
      type: 'string',
      value: 'FILE',
      description: 'which requests, and how much of them (Policy of audit.k8s.io/v1)',
    },
    'token-auth-file': {
      type: 'string',
      value: 'FILE',
      description: 'tokens that are passwords: lines of token,user,uid,"group1,group2"',
    },
    'oidc-issuer-url': {
      type: 'string',
      value: 'URL',
      description: 'identity provider whose tokens are believed',
    },
    'oidc-client-id': { type: 'string', value: 'ID', description: 'whom its tokens must be for' },
    'oidc-username-claim': {
      type: 'string',
      value: 'CLAIM',
      description: 'claim with the name of the user (default sub)',
    },
    'oidc-username-prefix': {
      type: 'string',
      value: 'TEXT',
      description: 'before the name, - for nothing (default the URL and #; nothing for email)',
    },
    'oidc-groups-claim': { type: 'string', value: 'CLAIM', description: 'claim with the groups' },
    'oidc-groups-prefix': { type: 'string', value: 'TEXT', description: 'before each group' },
    'oidc-required-claim': {
      type: 'string',
      value: 'KEY=VALUE',
      multiple: true,
      description: 'claim that tokens must have (may be repeated)',
    },
    'oidc-ca-file': {
      type: 'string',
      value: 'FILE',
      description: 'authorities of its certificate (default those of Node)',
    },
    'log-level': {
      type: 'string',
      value: 'LEVEL',
      default: 'info',
      description: 'of DIR/log/ebb.log: debug, info or error',
    },
  },
  positionals: [0, 0],
  async run(args, out) {
    const config = configOf(args)
    const stop = stopSignal()
    const { startPlatform } = await import('../platform/platform.ts')
    let platform
    try {
      platform = await startPlatform(config, stop, (news) => out.note(`ebb up: ${news}`))
    } catch (error) {
      if (!(error instanceof InUse)) throw error
      out.note(
        `ebb up: ${config.dataDir} is in use by ${error.message}. ` +
          'Stop it with `ebb down`, or start this one with another --data-dir.',
      )
      return 1
    }
    out.print(`API         ${platform.endpoints.api}`)
    const { gateway, gatewayTls } = platform.endpoints
    if (gateway) out.print(`Gateway     ${gateway}`)
    if (gatewayTls) out.print(`            ${gatewayTls}`)
    out.print(`Kubeconfig  ${platform.endpoints.kubeconfig}`)
    out.print(`Ready in ${Math.round(platform.readyAfterMs)} ms. Ctrl-C stops it.`)
    for (const directory of args.strings('deploy')) await deploy(directory, config, out)
    await stop.requested
    out.note('Stopping …')
    await platform[Symbol.asyncDispose]()
    return 0
  },
}

const maxGatewayWorkers = 31

function configOf(args: Arguments): PlatformConfig {
  const choice = <T extends string>(name: string, allowed: readonly T[]): T => {
    const value = args.string(name)
    const found = allowed.find((item) => item === value)
    if (found === undefined)
      throw new UsageError(`--${name}: expected ${allowed.join(' or ')}, found "${value}"`)
    return found
  }
  const api = addressOf(() => parseAddress(args.string('api') ?? '', 'api'))
  const addresses = gatewayAddresses(args)
  const domain = args.string('domain')
  if (domain !== undefined && !/^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$/.test(domain))
    throw new UsageError(`--domain: expected a lower-case DNS name, found "${domain}"`)
  const warm = args.string('warm-interpreters') ?? ''
  if (!/^\d+$/.test(warm) || Number(warm) > maxWarmInterpreters)
    throw new UsageError(
      `--warm-interpreters: expected a number from 0 to ${maxWarmInterpreters}, found "${warm}"`,
    )
  const workers = args.string('gateway-workers') ?? ''
  if (!/^\d+$/.test(workers) || Number(workers) < 1 || Number(workers) > maxGatewayWorkers)
    throw new UsageError(
      `--gateway-workers: expected a number from 1 to ${maxGatewayWorkers}, found "${workers}"`,
    )
  return {
    dataDir: dataDirOf(args.string('data-dir')),
    api,
    ...addresses,
    registry: addressOf(() => parseRegistryAddress(args.string('registry'), addresses.gateway)),
    gatewayWorkers: Number(workers),
    ...(domain !== undefined && { domain }),
    runtime: choice('runtime', ['auto', 'process', 'docker']),
    allowPrivileged: args.boolean('allow-privileged'),
    dockerEnvironment: dockerEnvironment(),
    network: choice('network', ['auto', 'namespaces', 'host']),
    warmInterpreters: Number(warm),
    access: accessOf(args),
    knative: !args.boolean('no-knative'),
    registries: registriesOf(args),
    logLevel: choice('log-level', ['debug', 'info', 'error']),
  }
}

function accessOf(args: Arguments): NonNullable<PlatformConfig['access']> {
  const path = (name: string) => {
    const value = args.string(name)
    return value === undefined ? undefined : resolve(value)
  }
  const auditLog = path('audit-log')
  const auditPolicy = path('audit-policy')
  if (auditPolicy !== undefined && auditLog === undefined)
    throw new UsageError('--audit-policy: expected with --audit-log FILE')
  const tokenFile = path('token-auth-file')
  const oidc = oidcOf(args)
  return {
    ...(auditLog !== undefined && { auditLog }),
    ...(auditPolicy !== undefined && { auditPolicy }),
    ...(tokenFile !== undefined && { tokenFile }),
    ...(oidc && { oidc }),
  }
}

function oidcOf(args: Arguments): NonNullable<PlatformConfig['access']>['oidc'] {
  const text = (name: string) => args.string(`oidc-${name}`)
  const issuerUrl = text('issuer-url')
  const clientId = text('client-id')
  if (issuerUrl === undefined && clientId === undefined) return undefined
  if (issuerUrl === undefined || clientId === undefined)
    throw new UsageError('--oidc-issuer-url and --oidc-client-id: expected together')
  const requiredClaims = Object.fromEntries(
    args.strings('oidc-required-claim').map((claim) => {
      const at = claim.indexOf('=')
      if (at < 1)
        throw new UsageError(`--oidc-required-claim: expected KEY=VALUE, found "${claim}"`)
      return [claim.slice(0, at), claim.slice(at + 1)]
    }),
  )
  const usernameClaim = text('username-claim')
  const usernamePrefix = text('username-prefix')
  const groupsClaim = text('groups-claim')
  const groupsPrefix = text('groups-prefix')
  const caFile = text('ca-file')
  return {
    issuerUrl,
    clientId,
    ...(usernameClaim !== undefined && { usernameClaim }),
    ...(usernamePrefix !== undefined && { usernamePrefix }),
    ...(groupsClaim !== undefined && { groupsClaim }),
    ...(groupsPrefix !== undefined && { groupsPrefix }),
    requiredClaims,
    ...(caFile !== undefined && { caFile: resolve(caFile) }),
  }
}

function registriesOf(args: Arguments): NonNullable<PlatformConfig['registries']> {
  const file = args.string('registries')
  return {
    ...registryEnvironment(),
    ...(file !== undefined && { file: resolve(file) }),
    offline: args.boolean('offline'),
  }
}

/** In a process of its own, so that what building needs does not stay in the platform's memory. */
async function deploy(directory: string, config: PlatformConfig, out: Output): Promise<void> {
  const script = process.argv[1]
  if (script === undefined) throw new Error('the path of the ebb script is not known')
  const args = [script, 'deploy', directory, '--data-dir', config.dataDir]
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] })
  let url = ''
  child.stdout.on('data', (chunk: Buffer) => (url += chunk))
  const code = await new Promise<number | null>((resolve) => child.once('exit', resolve))
  if (code === 0) out.print(`Service     ${url.trim()}`)
  else out.note(`ebb up: ${directory} could not be deployed`)
}
