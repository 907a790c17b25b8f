/** `ebb deploy`: build, apply, wait until it is ready, print the URL. */
import { resolve } from 'node:path'
import { existsSync } from 'node:fs'
import { hasReason } from '../kube/api/status-error.ts'
import type { Client } from '../kube/client/client.ts'
import { dataDirOf, layoutOf } from '../platform/config.ts'
import { Revision } from '../serving/api/revision.ts'
import { Service } from '../serving/api/service.ts'
import { clientOf } from './api-client.ts'
import { buildFlags, buildPath, defaultReference, imageName } from './build.ts'
import { UsageError, type Arguments, type Command, type Output } from './command.ts'

/** How long a Service may take to become ready; kn waits as long. */
const readyTimeoutMs = 600_000
/** A failure must stand this long before it is believed (kn's `--wait-window`). */
const failureWindowMs = 2_000

export const deploy: Command = {
  name: 'deploy',
  usage: 'DIR [--name NAME] [--namespace NAMESPACE] [--env KEY=VALUE]… [--base IMAGE] [--bundle]',
  summary: 'Build DIR, run it as a Knative Service, wait until it is ready and print its URL',
  flags: {
    name: { type: 'string', value: 'NAME', description: 'of the Service (default: name of DIR)' },
    namespace: { type: 'string', value: 'NAMESPACE', description: 'default: default' },
    env: {
      type: 'string',
      value: 'KEY=VALUE',
      multiple: true,
      description: 'environment variable (may be repeated)',
    },
    ...buildFlags,
  },
  positionals: [1, 1],
  async run(args, out) {
    const env = args.strings('env').map((text) => {
      const [, name, value] = /^([^=]+)=(.*)$/s.exec(text) ?? []
      if (name === undefined || value === undefined)
        throw new UsageError(`--env: expected KEY=VALUE, found "${text}"`)
      return { name, value }
    })
    const name = args.string('name')
    const namespace = args.string('namespace')
    const { url } = await deployDirectory(
      {
        directory: args.positionals[0] ?? '.',
        dataDir: dataDirOf(args.string('data-dir')),
        ...(name !== undefined && { name }),
        ...(namespace !== undefined && { namespace }),
        env,
        args,
      },
      out,
    )
    out.print(url)
    return 0
  },
}

export interface Deployment {
  readonly directory: string
  readonly dataDir: string
  readonly name?: string
  readonly namespace?: string
  readonly env?: readonly { readonly name: string; readonly value: string }[]
  /** How it is built. */
  readonly args: Arguments
}

/** Throws an Error with the Service's own reason and message when it does not become ready. */
export async function deployDirectory(
  { directory, dataDir, name, namespace, env = [], args }: Deployment,
  out: Output,
): Promise<{ readonly name: string; readonly url: string }> {
  const path = resolve(directory)
  const { kubeconfig } = layoutOf(dataDir)
  if (!existsSync(kubeconfig))
    throw new Error(
      `no platform has been started in ${dataDir}: run \`ebb up\` first, or give --data-dir`,
    )
  const { reference, digest, notes } = await buildPath(path, defaultReference(path), args, out)
  for (const note of notes) out.note(note)
  out.note(`Built ${reference} (${digest.slice(0, 19)})`)
  await using connection = await clientOf(kubeconfig)
  const service = {
    name: name ?? imageName(path),
    namespace: namespace ?? connection.namespace,
    userImage: reference,
    // By digest, so that new code under the same tag makes a new revision.
    image: `${reference.replace(/:[^/:]*$/, '')}@${digest}`,
    env,
  }
  await apply(connection.client, service)
  const url = await waitUntilReady(connection.client, service, out)
  return { name: service.name, url }
}

interface Wanted {
  readonly name: string
  readonly namespace: string
  readonly image: string
  readonly userImage: string
  readonly env: readonly { readonly name: string; readonly value: string }[]
}

async function apply(client: Client, wanted: Wanted): Promise<void> {
  const template = {
    metadata: { annotations: { 'client.knative.dev/user-image': wanted.userImage } },
    spec: {
      containers: [{ name: 'user-container', image: wanted.image, env: [...wanted.env] }],
    },
  }
  try {
    await client.create(Service, {
      apiVersion: 'serving.knative.dev/v1',
      kind: 'Service',
      metadata: { name: wanted.name, namespace: wanted.namespace },
      spec: { template },
    })
  } catch (error) {
    if (!hasReason(error, 'AlreadyExists')) throw error
    await client.patch(Service, wanted, { type: 'merge', body: { spec: { template } } })
  }
}

/** What is wrong with the newest Revision, in its own words: exit code, last lines of its log. */
async function revisionProblem(client: Client, service: Service): Promise<string | undefined> {
  const name = service.status?.latestCreatedRevisionName
  if (name === undefined || name === service.status?.latestReadyRevisionName) return undefined
  const key = { namespace: service.metadata.namespace ?? '', name }
  const revision = await client.get(Revision, key).catch(() => undefined)
  const ready = revision?.status?.conditions?.find(({ type }) => type === 'Ready')
  return ready?.status === 'False' ? `${ready.reason ?? ''}: ${ready.message ?? ''}` : undefined
}

async function waitUntilReady(client: Client, wanted: Wanted, out: Output): Promise<string> {
  const start = performance.now()
  let failedSince: number | undefined
  let shown = ''
  for (;;) {
    const service = await client.get(Service, wanted)
    const ready = service.status?.conditions?.find(({ type }) => type === 'Ready')
    const observed = service.status?.observedGeneration === service.metadata.generation
    if (observed && ready?.status === 'True' && service.status?.url !== undefined)
      return service.status.url
    const why = `${ready?.reason ?? 'Pending'}: ${ready?.message ?? 'not reconciled yet'}`
    if (observed && ready?.status === 'False') {
      failedSince ??= performance.now()
      if (performance.now() - failedSince > failureWindowMs)
        throw new Error(
          `Service ${wanted.name} is not ready: ${(await revisionProblem(client, service)) ?? why}`,
        )
    } else failedSince = undefined
    if (performance.now() - start > readyTimeoutMs)
      throw new Error(
        `Service ${wanted.name} is not ready after ${readyTimeoutMs / 1000} s: ${why}`,
      )
    if (observed && ready?.message && why !== shown) {
      shown = why
      out.note(`  ${why}`)
    }
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}
