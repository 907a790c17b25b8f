/**
 * The certificates of the TLS listener, found by the name a client asks for (SNI, RFC 6066): exact names before
 * wildcards, which cover one label (RFC 9525). PEM is checked when it comes; the OpenSSL context, forty kilobytes, is
 * made when somebody first asks for it. A broken renewal leaves the certificate before it in service.
 */
import { createPrivateKey, X509Certificate } from 'node:crypto'
import type { SecureContext } from 'node:tls'
import type { Certificate } from '../feed.ts'

/** Certificates of the platform's own authority, made for whoever asks: any other for the same name goes before. */
export const localPrefix = 'local/'

/**
 * Certificates that listeners of Gateways name, perhaps for hosts of other namespaces: those that the owner of a host
 * names go before. No namespace begins so.
 */
export const gatewayPrefix = '~gateway/'

/** Makes what OpenSSL needs out of PEM. Throws for what it can't read. */
export type MakeContext = (certificate: Certificate) => SecureContext

interface Entry {
  readonly certificate: Certificate
  context: SecureContext | undefined
}

export class CertificateStore {
  readonly #entries = new Map<string, Entry>()
  /** Lower-case name -> those that bear it, the best first. A wildcard stands under its `*.` name. */
  readonly #byName = new Map<string, Entry[]>()

  get size(): number {
    return this.#entries.size
  }

  keys(): IterableIterator<string> {
    return this.#entries.keys()
  }

  /** Takes it in, in place of the one with this key. Answers what is wrong with it; then nothing has changed. */
  set(certificate: Certificate): string | undefined {
    const known = this.#entries.get(certificate.key)
    if (known && sameText(known.certificate, certificate)) return undefined
    const complaint = certificateComplaint(certificate)
    if (complaint !== undefined) return complaint
    if (known) this.delete(certificate.key)
    const entry: Entry = { certificate, context: undefined }
    this.#entries.set(certificate.key, entry)
    for (const host of certificate.hosts) {
      const name = host.toLowerCase()
      const entries = [...(this.#byName.get(name) ?? []), entry]
      this.#byName.set(name, entries.toSorted(byRank))
    }
    return undefined
  }

  delete(key: string): void {
    const entry = this.#entries.get(key)
    if (!entry) return
    this.#entries.delete(key)
    for (const host of entry.certificate.hosts) {
      const name = host.toLowerCase()
      const left = (this.#byName.get(name) ?? []).filter((other) => other !== entry)
      if (left.length > 0) this.#byName.set(name, left)
      else this.#byName.delete(name)
    }
  }

  has(name: string): boolean {
    return this.#find(name) !== undefined
  }

  /** The context for a name as the client wrote it, made by `make` the first time. Throws what `make` throws. */
  context(name: string, make: MakeContext): SecureContext | undefined {
    const entry = this.#find(name)
    if (!entry) return undefined
    return (entry.context ??= make(entry.certificate))
  }

  /** The first certificate of the platform's own authority, for clients that name no host. */
  local(): Certificate | undefined {
    for (const [key, { certificate }] of this.#entries)
      if (key.startsWith(localPrefix)) return certificate
    return undefined
  }

  #find(text: string): Entry | undefined {
    const name = text.toLowerCase()
    const exact = this.#byName.get(name)?.[0]
    if (exact) return exact
    const dot = name.indexOf('.')
    return dot < 0 ? undefined : this.#byName.get(`*${name.slice(dot)}`)?.[0]
  }
}

/** What is wrong with a certificate and its key, for people; undefined when they can be used. */
export function certificateComplaint({
  chain,
  privateKey,
}: {
  readonly chain: string
  readonly privateKey: string
}): string | undefined {
  let leaf: X509Certificate
  try {
    const texts = chain.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g)
    if (!texts?.[0]) return 'tls.crt: expected a PEM certificate, found none'
    const [first, ...rest] = texts.map((text) => new X509Certificate(text))
    if (!first) return 'tls.crt: expected a PEM certificate, found none'
    leaf = first
    void rest // parsed, so that a broken intermediate is found here and not by a client
  } catch (error) {
    return `tls.crt: ${messageOf(error)}`
  }
  try {
    const key = createPrivateKey(privateKey)
    return leaf.checkPrivateKey(key)
      ? undefined
      : 'tls.key is not the key of the first certificate in tls.crt'
  } catch (error) {
    return `tls.key: ${messageOf(error)}`
  }
}

const messageOf = (error: unknown): string =>
  error instanceof Error ? error.message : String(error)

const sameText = (a: Certificate, b: Certificate): boolean =>
  a.chain === b.chain && a.privateKey === b.privateKey && a.hosts.join() === b.hosts.join()

const rankOf = ({ certificate: { key } }: Entry): number =>
  key.startsWith(localPrefix) ? 2 : key.startsWith(gatewayPrefix) ? 1 : 0

/** Ours last, otherwise by key: which one is used must not depend on the order in which they came. */
const byRank = (a: Entry, b: Entry): number =>
  rankOf(a) - rankOf(b) || (a.certificate.key < b.certificate.key ? -1 : 1)
