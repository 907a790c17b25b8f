/** Whether a text can name a container image (`registry/repository:tag@digest`), by the rules of OCI registries. */

/** Undefined when it is a reference; otherwise why not. */
export function imageReferenceProblem(image: string): string | undefined {
  if (isReference(image)) return undefined
  const [placeholder] = /\{[^{}/]*\}|<[^<>/]*>/.exec(image.slice(0, 4096)) ?? []
  const hint = placeholder
    ? `; the image reference contains a placeholder ${placeholder}: put your own value there`
    : ''
  return `could not parse reference: ${image}${hint}`
}

function isReference(image: string): boolean {
  if (image.length > 4096) return false
  const [name = '', digest, ...more] = image.split('@')
  if (more.length > 0 || (digest !== undefined && !/^sha256:[0-9a-f]{64}$/.test(digest)))
    return false
  const colon = name.lastIndexOf(':')
  const hasTag = colon > name.lastIndexOf('/')
  const repository = hasTag ? name.slice(0, colon) : name
  if (hasTag && !/^[A-Za-z0-9_.-]{1,128}$/.test(name.slice(colon + 1))) return false
  return isRepository(repository)
}

function isRepository(name: string): boolean {
  const slash = name.indexOf('/')
  const first = name.slice(0, slash)
  const hasRegistry = slash >= 0 && (/[.:]/.test(first) || first === 'localhost')
  if (hasRegistry && !/^[A-Za-z0-9.-]+(:\d{1,5})?$/.test(first)) return false
  const path = hasRegistry ? name.slice(slash + 1) : name
  return (
    path.length >= 2 &&
    path.length <= 255 &&
    /^[a-z0-9_./-]+$/.test(path) &&
    !/^\/|\/$|\/\//.test(path)
  )
}
