/**
 * Names of images, as Docker reads them: `hello` means `docker.io/library/hello:latest`. The grammar follows
 * distribution/reference (part of the OCI distribution specification's ecosystem).
 */

/** An image name with everything said. */
export interface Reference {
  /** Host, with port if any: `docker.io`, `localhost:5000`. */
  readonly registry: string
  /** `library/hello`. */
  readonly repository: string
  /** Absent when only a digest was given. */
  readonly tag?: string
  /** `sha256:…`; wins over the tag. */
  readonly digest?: string
}

/** The text is no image name; the message is Docker's. */
export class InvalidReference extends Error {
  override readonly name = 'InvalidReference'
}

const component = '[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*'
const repositoryPattern = new RegExp(`^${component}(?:/${component})*$`)
const registryPattern =
  /^(?:(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])(?:\.(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9]))*|\[[0-9a-fA-F:]+\])(?::[0-9]+)?$/
const tagPattern = /^\w[\w.-]{0,127}$/
const digestPattern = /^sha256:[a-f0-9]{64}$/

/** Reads and completes an image name. Throws InvalidReference. */
export function parseReference(text: string): Reference {
  const refuse = (why = 'invalid reference format'): never => {
    throw new InvalidReference(why)
  }
  if (text.length > 1024) refuse('repository name must not be more than 255 characters')
  let rest = text
  let digest: string | undefined
  const at = rest.indexOf('@')
  if (at >= 0) {
    digest = rest.slice(at + 1)
    rest = rest.slice(0, at)
    if (!digestPattern.test(digest)) refuse()
  }
  let tag: string | undefined
  const colon = rest.lastIndexOf(':')
  if (colon > rest.lastIndexOf('/')) {
    tag = rest.slice(colon + 1)
    rest = rest.slice(0, colon)
    if (!tagPattern.test(tag)) refuse()
  }
  let registry = 'docker.io'
  let repository = rest
  const slash = rest.indexOf('/')
  if (slash >= 0) {
    const first = rest.slice(0, slash)
    if (first === 'localhost' || /[.:]/.test(first) || first.toLowerCase() !== first) {
      registry = first === 'index.docker.io' ? 'docker.io' : first
      repository = rest.slice(slash + 1)
      if (!registryPattern.test(first)) refuse()
    }
  }
  if (/[A-Z]/.test(repository))
    refuse('invalid reference format: repository name must be lowercase')
  if (!repositoryPattern.test(repository)) refuse()
  if (registry === 'docker.io' && !repository.includes('/')) repository = `library/${repository}`
  if (registry.length + 1 + repository.length > 255)
    refuse('repository name must not be more than 255 characters')
  if (tag === undefined && digest === undefined) tag = 'latest'
  return {
    registry,
    repository,
    ...(tag !== undefined && { tag }),
    ...(digest !== undefined && { digest }),
  }
}

/** The whole name: `docker.io/library/hello:latest`, `…@sha256:…` for a digest. */
export const referenceText = ({ registry, repository, tag, digest }: Reference): string =>
  `${registry}/${repository}${digest === undefined ? `:${tag}` : `@${digest}`}`

/** `docker.io/library/hello:latest` for `hello`. Throws InvalidReference. */
export const normalizeReference = (text: string): string => referenceText(parseReference(text))

/** `index.docker.io/library/nginx@sha256:…`: how Knative writes a resolved image. */
export const digestReference = ({ registry, repository }: Reference, digest: string): string =>
  `${registry === 'docker.io' ? 'index.docker.io' : registry}/${repository}@${digest}`
