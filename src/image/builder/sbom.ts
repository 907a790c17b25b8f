/** What software is in an image, as SPDX 2.3 JSON. The same packages make the same document, whenever it is made. */
import { createHash } from 'node:crypto'
import type { Package } from './program.ts'

export const spdxType = 'application/spdx+json'

export interface SbomSubject {
  /** Name of what was built, without tag: `dev.local/hello`. */
  readonly name: string
  readonly tool: string
  /** Seconds since 1970. */
  readonly createdS: number
}

/** The document. */
export function spdxDocument(
  { name, tool, createdS }: SbomSubject,
  packages: readonly Package[],
): Readonly<Record<string, unknown>> {
  const described = packages.map((item, i) => ({
    SPDXID: `SPDXRef-Package-${i + 1}`,
    name: item.name,
    ...(item.version !== '' && { versionInfo: item.version }),
    downloadLocation: 'NOASSERTION',
    filesAnalyzed: false,
    licenseConcluded: 'NOASSERTION',
    licenseDeclared: isExpression(item.license) ? item.license : 'NOASSERTION',
    ...(item.license !== undefined &&
      !isExpression(item.license) && { licenseComments: item.license }),
    copyrightText: 'NOASSERTION',
    externalRefs: [
      {
        referenceCategory: 'PACKAGE-MANAGER',
        referenceType: 'purl',
        referenceLocator: item.purl,
      },
    ],
  }))
  const hash = createHash('sha256')
    .update(JSON.stringify([name, tool, createdS, described]))
    .digest('hex')
  return {
    spdxVersion: 'SPDX-2.3',
    dataLicense: 'CC0-1.0',
    SPDXID: 'SPDXRef-DOCUMENT',
    name,
    documentNamespace: `https://ebb.dev/spdx/${hash}`,
    creationInfo: {
      created: new Date(createdS * 1000).toISOString().replace('.000Z', 'Z'),
      creators: [`Tool: ${tool}`],
    },
    packages: [
      {
        SPDXID: 'SPDXRef-Image',
        name,
        downloadLocation: 'NOASSERTION',
        filesAnalyzed: false,
        licenseConcluded: 'NOASSERTION',
        licenseDeclared: 'NOASSERTION',
        copyrightText: 'NOASSERTION',
        primaryPackagePurpose: 'CONTAINER',
      },
      ...described,
    ],
    relationships: [
      {
        spdxElementId: 'SPDXRef-DOCUMENT',
        relationshipType: 'DESCRIBES',
        relatedSpdxElement: 'SPDXRef-Image',
      },
      ...described.map(({ SPDXID }) => ({
        spdxElementId: 'SPDXRef-Image',
        relationshipType: 'CONTAINS',
        relatedSpdxElement: SPDXID,
      })),
    ],
  }
}

/** Identifiers joined by AND, OR and WITH (SPDX 2.3, annex D); what else people write is a comment. */
const isExpression = (text: string | undefined): text is string =>
  text !== undefined &&
  /^[()\s]*[A-Za-z0-9.+-]+[()\s]*((AND|OR|WITH)\s[()\s]*[A-Za-z0-9.+-]+[()\s]*)*$/.test(text)
