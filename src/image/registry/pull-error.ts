/** Says in one line why an image could not be had: name, registry, status, what to do. Pure. */
import type { Registries } from '../../lib/registries.ts'
import { referenceText, type Reference } from '../reference.ts'
import type { Endpoint } from './endpoints.ts'
import { isCertificateProblem, RegistryError } from './registry-error.ts'

export interface EndpointFailure {
  readonly endpoint: Endpoint
  readonly error: RegistryError
}

/** The failures in the order in which the endpoints were asked; none = nobody was asked. */
export function pullError(
  reference: Reference,
  failures: readonly EndpointFailure[],
  registries: Registries,
): RegistryError {
  const name = referenceText(reference)
  const last = failures.at(-1)
  if (!last) {
    const why = registries.offline
      ? `not found in this machine's image store, and offline mode asks no registry; import it with: ebb image import FILE`
      : `not found in this machine's image store`
    return new RegistryError('missing', `${name}: ${why}, or ${build(name)}`)
  }
  const said = failures.map(({ endpoint, error }) =>
    failures.length > 1 && endpoint.isMirror ? `mirror ${error.message}` : error.message,
  )
  const { problem, status } = last.error
  return new RegistryError(
    problem,
    `${name}: ${lead[problem]}${said.join('; ')}; ${advice(name, last)}`,
    { cause: last.error, ...(status !== undefined && { status }) },
  )
}

const lead: Readonly<Record<RegistryError['problem'], string>> = {
  missing: 'not found: ',
  denied: 'pull access denied: ',
  unreachable: '',
  busy: '',
  invalid: '',
}

const build = (name: string): string => `build it with: ebb build DIR --tag ${name}`

function advice(name: string, { endpoint, error }: EndpointFailure): string {
  const { host, origins } = endpoint
  const { code = '' } = Object(error.cause) as { readonly code?: string }
  switch (error.problem) {
    case 'missing':
      return `check the name, or ${build(name)}`
    case 'denied':
      return `it may not exist, or needs other credentials: name a Secret of type kubernetes.io/dockerconfigjson in imagePullSecrets, or run: docker login ${host}`
    case 'invalid':
      return 'ask whoever runs that registry'
    case 'busy':
      return 'it is tried again'
    case 'unreachable':
      if (isCertificateProblem(error.cause))
        return `say whom to trust in configs."${host}".tls of the ConfigMap config-registries`
      if (code === 'EPROTO' && origins.every((origin) => origin.startsWith('https:')))
        return `if it speaks plain HTTP, name http://${host} as its mirror in the ConfigMap config-registries`
      return `if it is blocked or slow here, name a mirror in the ConfigMap config-registries; or ${build(name)}`
  }
}
