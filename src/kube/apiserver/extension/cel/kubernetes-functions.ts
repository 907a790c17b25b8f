/** Kubernetes' own CEL types: quantities, URLs, addresses and networks, named formats (apiserver `cel/library`). */
import { isIPv4, isIPv6 } from 'node:net'
import { Optional } from '@marcbachmann/cel-js'
import type { Environment } from '@marcbachmann/cel-js'
import { parseQuantity } from '../../../api/quantity.ts'
import { labelKeyProblem, labelValueProblem } from '../../../api/selectors.ts'
import { label1035Problem, labelProblem, subdomainProblem } from '../../../api/validation.ts'
import { isCidr, isOfFormat } from '../formats.ts'
import { Address, Network } from './addresses.ts'

const sync = { async: false }

export function registerKubernetesFunctions(environment: Environment): void {
  quantities(environment)
  urls(environment)
  addresses(environment)
  formats(environment)
}

const billion = 1_000_000_000n

class Quantity {
  readonly nanos: bigint

  constructor(nanos: bigint) {
    this.nanos = nanos
  }

  get isInteger(): boolean {
    return this.nanos % billion === 0n
  }
}

function quantities(environment: Environment): void {
  const type = 'kubernetes.Quantity'
  environment.registerType(type, Quantity)
  const add = (signature: string, handler: (...args: never[]) => unknown) =>
    environment.registerFunction(signature, handler, sync)
  const method = (signature: string, handler: (...args: never[]) => unknown) =>
    add(`${type}.${signature}`, handler)
  add(`quantity(string): ${type}`, (text: string) => {
    const parsed = parseQuantity(text)
    if (!parsed)
      throw new Error(
        "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'",
      )
    return new Quantity(parsed.nanos)
  })
  add('isQuantity(string): bool', (text: string) => parseQuantity(text) !== undefined)
  method('sign(): int', ({ nanos }: Quantity) => (nanos > 0n ? 1n : nanos < 0n ? -1n : 0n))
  method('isInteger(): bool', (quantity: Quantity) => quantity.isInteger)
  method('asInteger(): int', (quantity: Quantity) => {
    if (!quantity.isInteger) throw new Error('cannot convert value to integer')
    return quantity.nanos / billion
  })
  method('asApproximateFloat(): double', ({ nanos }: Quantity) => Number(nanos) / 1e9)
  method(`isLessThan(${type}): bool`, (a: Quantity, b: Quantity) => a.nanos < b.nanos)
  method(`isGreaterThan(${type}): bool`, (a: Quantity, b: Quantity) => a.nanos > b.nanos)
  method(`compareTo(${type}): int`, (a: Quantity, b: Quantity) =>
    a.nanos < b.nanos ? -1n : a.nanos > b.nanos ? 1n : 0n,
  )
  const sum = (sign: bigint) => (a: Quantity, b: Quantity | bigint) =>
    new Quantity(a.nanos + sign * (typeof b === 'bigint' ? b * billion : b.nanos))
  for (const other of [type, 'int']) {
    method(`add(${other}): ${type}`, sum(1n))
    method(`sub(${other}): ${type}`, sum(-1n))
  }
  environment.registerOperator(
    `${type} == ${type}`,
    (a: Quantity, b: Quantity) => a.nanos === b.nanos,
  )
}

class Locator {
  readonly url: URL
  readonly text: string

  constructor(url: URL, text: string) {
    this.url = url
    this.text = text
  }
}

/** What Go's `url.ParseRequestURI` takes: absolute, or a path from the root. */
function parseUrl(text: string): Locator | undefined {
  if (!isOfFormat('uri', text)) return undefined
  try {
    return new Locator(text.startsWith('/') ? new URL(text, 'none://none') : new URL(text), text)
  } catch {
    return undefined
  }
}

function urls(environment: Environment): void {
  const type = 'kubernetes.URL'
  environment.registerType(type, Locator)
  const add = (signature: string, handler: (...args: never[]) => unknown) =>
    environment.registerFunction(signature, handler, sync)
  const method = (signature: string, handler: (url: Locator) => unknown) =>
    add(`${type}.${signature}`, handler)
  const isPath = ({ text }: Locator) => text.startsWith('/')
  add(`url(string): ${type}`, (text: string) => {
    const url = parseUrl(text)
    if (!url)
      throw new Error(
        `URL parse error during conversion from string: parse ${JSON.stringify(text)}: invalid URI for request`,
      )
    return url
  })
  add('isURL(string): bool', (text: string) => parseUrl(text) !== undefined)
  method('getScheme(): string', (url) => (isPath(url) ? '' : url.url.protocol.slice(0, -1)))
  // As it was written: the standard port is not taken away.
  const host = (url: Locator) => /^[^:]+:\/\/(?:[^/?#@]*@)?([^/?#]*)/.exec(url.text)?.[1] ?? ''
  method('getHost(): string', host)
  method('getHostname(): string', (url) =>
    host(url)
      .replace(/:\d*$/, '')
      .replaceAll(/^\[|\]$/g, ''),
  )
  method('getPort(): string', (url) => /:(\d+)$/.exec(host(url))?.[1] ?? '')
  method('getEscapedPath(): string', ({ text, url }) =>
    text.startsWith('/') || /^[^:]+:\/\/[^/?#]*\//.test(text) ? url.pathname : '',
  )
  method('getQuery(): map<string, list<string>>', ({ url }) =>
    Object.fromEntries(
      [...new Set(url.searchParams.keys())].map((key) => [key, url.searchParams.getAll(key)]),
    ),
  )
}

function addresses(environment: Environment): void {
  const ip = 'net.IP'
  const cidr = 'net.CIDR'
  environment.registerType(ip, Address)
  environment.registerType(cidr, Network)
  const add = (signature: string, handler: (...args: never[]) => unknown) =>
    environment.registerFunction(signature, handler, sync)
  const isIp = (text: string) => isIPv4(text) || (isIPv6(text) && !text.includes('%'))
  const toIp = (text: string) => {
    if (!isIp(text))
      throw new Error(
        `IP Address ${JSON.stringify(text)} parse error during conversion from string`,
      )
    return new Address(text)
  }
  const toCidr = (text: string) => {
    if (!isCidr(text))
      throw new Error(`CIDR ${JSON.stringify(text)} parse error during conversion from string`)
    return new Network(text)
  }
  add(`ip(string): ${ip}`, toIp)
  add('isIP(string): bool', isIp)
  add(`string(${ip}): string`, String)
  add(`cidr(string): ${cidr}`, toCidr)
  add('isCIDR(string): bool', isCidr)
  add(`string(${cidr}): string`, String)
  add(`${ip}.family(): int`, (address: Address) => BigInt(address.family))
  add(`${ip}.isUnspecified(): bool`, (address: Address) => address.value === 0n)
  add(`${ip}.isLoopback(): bool`, (address: Address) => address.isLoopback)
  add(`${ip}.isLinkLocalUnicast(): bool`, (address: Address) => address.isLinkLocalUnicast)
  add(`${ip}.isLinkLocalMulticast(): bool`, (address: Address) => address.isLinkLocalMulticast)
  add(`${ip}.isGlobalUnicast(): bool`, (address: Address) => address.isGlobalUnicast)
  add(`${cidr}.containsIP(${ip}): bool`, (network: Network, address: Address) =>
    network.contains(address),
  )
  add(`${cidr}.containsIP(string): bool`, (network: Network, text: string) =>
    network.contains(toIp(text)),
  )
  add(`${cidr}.containsCIDR(${cidr}): bool`, (a: Network, b: Network) => a.includes(b))
  add(`${cidr}.containsCIDR(string): bool`, (a: Network, text: string) => a.includes(toCidr(text)))
  add(`${cidr}.ip(): ${ip}`, (network: Network) => network.address)
  add(`${cidr}.masked(): ${cidr}`, (network: Network) => network.masked())
  add(`${cidr}.prefixLength(): int`, (network: Network) => BigInt(network.bits))
  environment.registerOperator(
    `${ip} == ${ip}`,
    (a: Address, b: Address) => String(a) === String(b),
  )
  environment.registerOperator(
    `${cidr} == ${cidr}`,
    (a: Network, b: Network) => String(a) === String(b),
  )
}

type Problem = (text: string) => string | undefined

const prefixOf =
  (problem: Problem): Problem =>
  (text) =>
    problem(text.endsWith('-') ? text.slice(0, -1) : text)

const ofFormat =
  (format: string): Problem =>
  (text) =>
    isOfFormat(format, text) ? undefined : `invalid ${format}`

const named: Readonly<Record<string, Problem>> = {
  dns1123Label: labelProblem,
  dns1123Subdomain: subdomainProblem,
  dns1035Label: label1035Problem,
  dns1123LabelPrefix: prefixOf(labelProblem),
  dns1123SubdomainPrefix: prefixOf(subdomainProblem),
  dns1035LabelPrefix: prefixOf(label1035Problem),
  qualifiedName: labelKeyProblem,
  labelValue: labelValueProblem,
  uri: ofFormat('uri'),
  uuid: ofFormat('uuid'),
  byte: ofFormat('byte'),
  date: ofFormat('date'),
  datetime: ofFormat('date-time'),
}

class Format {
  readonly problem: Problem

  constructor(problem: Problem) {
    this.problem = problem
  }
}

class Formats {}

function formats(environment: Environment): void {
  const type = 'kubernetes.NamedFormat'
  environment.registerType(type, Format)
  environment.registerType('kubernetes.Formats', Formats)
  environment.registerConstant('format', 'kubernetes.Formats', new Formats())
  for (const [name, problem] of Object.entries(named))
    environment.registerFunction(
      `kubernetes.Formats.${name}(): ${type}`,
      () => new Format(problem),
      sync,
    )
  environment.registerFunction(
    `kubernetes.Formats.named(string): optional`,
    function find(_: unknown, name: string) {
      const problem = Object.hasOwn(named, name) ? named[name] : undefined
      return Optional.of(problem && new Format(problem))
    },
    sync,
  )
  environment.registerFunction(
    `${type}.validate(string): optional`,
    ({ problem }: Format, text: string) => {
      const why = problem(text)
      return Optional.of(why === undefined ? undefined : [why])
    },
    sync,
  )
}
