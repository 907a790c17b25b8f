/**
 * config-acme: who signs certificates (Ebb's own; Knative leaves it to config-certmanager). Without a directory all come
 * from the platform's own authority; with one, public names are proved to it by HTTP-01 (RFC 8555).
 */
import { defineConfig, type Config } from '../../../knative/config-map.ts'
import { asBoolean, asString, type ConfigData } from '../../../knative/config-values.ts'

export interface AcmeConfig {
  /** URL of the ACME directory; undefined = the platform's own authority signs everything. */
  readonly directoryUrl: string | undefined
  /** Told to the authority, for word of expiring certificates. */
  readonly email: string | undefined
  /** The user has agreed to the authority's terms of service. */
  readonly agreeTerms: boolean
  /** PEM of authorities that the directory's own certificate may be signed by, for private ones; undefined = public ones. */
  readonly caBundle: string | undefined
  /** Names under these come from ACME; empty = all public ones. */
  readonly domains: readonly string[]
  /** Names under these come from the platform's own authority, whatever `domains` says. */
  readonly localDomains: readonly string[]
}

function directoryUrl(data: ConfigData): string | undefined {
  const text = data['directory-url']?.trim()
  if (!text) return undefined
  const url = URL.parse(text)
  if (url?.protocol !== 'https:')
    throw new Error(
      `directory-url: expected an https URL, for example https://acme-v02.api.letsencrypt.org/directory, found ${JSON.stringify(text)}`,
    )
  return text
}

function domains(data: ConfigData, key: string): readonly string[] {
  const names = (data[key] ?? '').split(/[\s,]+/).filter((name) => name !== '')
  for (const name of names)
    if (!/^([a-z0-9_]([-a-z0-9_]*[a-z0-9_])?\.)*[a-z0-9]([-a-z0-9]*[a-z0-9])?$/.test(name))
      throw new Error(`${key}: expected lower-case domains, found ${JSON.stringify(name)}`)
  return names
}

function caBundle(data: ConfigData): string | undefined {
  const text = data['ca-bundle']?.trim()
  if (!text) return undefined
  if (!text.includes('-----BEGIN CERTIFICATE-----'))
    throw new Error('ca-bundle: expected certificates in PEM, found none')
  return text
}

export const configAcme: Config<AcmeConfig> = defineConfig({
  name: 'config-acme',
  component: 'controller',
  parse(data) {
    const config: AcmeConfig = {
      directoryUrl: directoryUrl(data),
      email: asString(data, '', 'email') || undefined,
      agreeTerms: asBoolean(data, false, 'agree-terms'),
      caBundle: caBundle(data),
      domains: domains(data, 'domains'),
      localDomains: domains(data, 'local-domains'),
    }
    if (config.directoryUrl && !config.agreeTerms)
      throw new Error(
        'agree-terms: set it to "true" once you have read the terms of service of the authority at directory-url',
      )
    return config
  },
  example: `
# Examples, with the defaults as values. Copy a line to the top level of the
# ConfigMap, directly below "data", to make it count.

# Directory of an ACME authority that signs certificates for public names, for
# example https://acme-v02.api.letsencrypt.org/directory. It must reach the
# gateway at port 80 of each name. Empty: the platform's own authority signs
# everything.
directory-url: ""

# Where the authority may send word of expiring certificates.
email: ""

# Whether you agree to the terms of service of that authority.
agree-terms: "false"

# Certificates, in PEM, that the authority's own server is trusted by, when it
# is a private one.
ca-bundle: ""

# Domains whose names come from ACME, separated by commas. Empty: all public
# ones, which leaves out localhost, local, internal, test and the like.
domains: ""

# Domains whose names come from the platform's own authority all the same.
local-domains: ""
`,
})

/** Suffixes that no public authority signs for. sslip.io and nip.io are names of private addresses, mostly. */
const privateDomains = [
  'localhost',
  'local',
  'internal',
  'test',
  'example',
  'invalid',
  'home.arpa',
  'lan',
  'cluster.local',
  'sslip.io',
  'nip.io',
]

const isUnder = (name: string, domain: string): boolean =>
  name === domain || name.endsWith(`.${domain}`)

/** True when names like this are proved to the ACME authority. */
export function comesFromAcme(config: AcmeConfig, name: string): boolean {
  if (config.directoryUrl === undefined) return false
  const bare = name.replace(/^\*\./, '')
  const under = (domains: readonly string[]) => domains.some((domain) => isUnder(bare, domain))
  if (under(config.localDomains)) return false
  if (config.domains.length > 0) return under(config.domains)
  return bare.includes('.') && !under(privateDomains) && !/^[\d.]+$/.test(bare)
}
