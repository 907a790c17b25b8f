/**
 * What goes with an image without being in it: its SBOM and the provenance of its build (SLSA 1.0, in-toto statement 1), as
 * artifact manifests whose `subject` is the image (image-spec 1.1, "Guidelines for Artifact Usage").
 */
import type { ContentStore, Descriptor } from '../content-store.ts'
import { manifestTypes } from '../manifest.ts'
import { forgetReferrer, putReferrer, referrersOf, type Referrer } from '../referrers.ts'
import type { Package } from './program.ts'
import { spdxDocument, spdxType } from './sbom.ts'

export const inTotoType = 'application/vnd.in-toto+json'
const provenancePredicate = 'https://slsa.dev/provenance/v1'
/** Marks what a build itself attached, which the next build of the same image replaces. */
const ownAnnotation = 'dev.ebb.build'
const emptyType = 'application/vnd.oci.empty.v1+json'

/** Something that took part in a build (SLSA's ResourceDescriptor). */
export interface Material {
  readonly uri?: string
  readonly name?: string
  /** By algorithm: `sha256`, `gitCommit`. */
  readonly digest: Readonly<Record<string, string>>
}

export interface BuildRecord {
  /** `node`, `python`, `go`, `static`, `dockerfile`. */
  readonly kind: string
  /** Normalised name of the image. */
  readonly reference: string
  readonly image: Descriptor
  /** What whoever built asked for. */
  readonly parameters: Readonly<Record<string, unknown>>
  readonly materials: readonly Material[]
  readonly packages: readonly Package[]
  /** Versions of what took part, by name. */
  readonly tools: Readonly<Record<string, string>>
  /** Version of Ebb. */
  readonly version: string
  readonly startedMs: number
  readonly finishedMs: number
  /** Seconds since 1970 that the image says it was made at. */
  readonly createdS: number
}

/** Stores SBOM and provenance of an image and notes that they speak about it. */
export async function attest(
  store: ContentStore,
  build: BuildRecord,
): Promise<readonly Referrer[]> {
  const name = build.reference.replace(/:[^/:]*$/, '').replace(/@.*/, '')
  const subject = { name, tool: `ebb-${build.version}`, createdS: build.createdS }
  const before = await referrersOf(store, build.image.digest)
  const made = await Promise.all([
    putArtifact(store, build, spdxType, spdxDocument(subject, build.packages)),
    putArtifact(store, build, inTotoType, provenance(build), {
      'in-toto.io/predicate-type': provenancePredicate,
    }),
  ])
  for (const { digest, annotations } of before)
    if (annotations?.[ownAnnotation] !== undefined && !made.some((own) => own.digest === digest))
      await forgetReferrer(store, build.image.digest, digest)
  return made
}

async function putArtifact(
  store: ContentStore,
  build: BuildRecord,
  artifactType: string,
  document: unknown,
  annotations: Readonly<Record<string, string>> = {},
): Promise<Referrer> {
  const { image, createdS } = build
  const [config, layer] = await Promise.all([
    store.put(emptyType, Buffer.from('{}')),
    store.put(artifactType, Buffer.from(JSON.stringify(document, null, 1))),
  ])
  const [mediaType] = manifestTypes
  return await putReferrer(
    store,
    Buffer.from(
      JSON.stringify({
        schemaVersion: 2,
        mediaType,
        artifactType,
        config,
        layers: [{ ...layer, ...(Object.keys(annotations).length > 0 && { annotations }) }],
        subject: image,
        annotations: {
          'org.opencontainers.image.created': new Date(createdS * 1000)
            .toISOString()
            .replace('.000Z', 'Z'),
          [ownAnnotation]: build.kind,
          ...annotations,
        },
      }),
    ),
  )
}

/** The statement; nothing in it names this machine or whoever uses it. */
export function provenance(build: BuildRecord): Readonly<Record<string, unknown>> {
  return {
    _type: 'https://in-toto.io/Statement/v1',
    subject: [{ name: build.reference, digest: { sha256: build.image.digest.slice(7) } }],
    predicateType: provenancePredicate,
    predicate: {
      buildDefinition: {
        buildType: `https://ebb.dev/build/${build.kind}/v1`,
        externalParameters: build.parameters,
        internalParameters: { tools: build.tools },
        resolvedDependencies: [
          ...build.materials,
          ...build.packages.map(({ purl }) => ({ uri: purl })),
        ],
      },
      runDetails: {
        builder: { id: 'https://ebb.dev/build', version: { ebb: build.version } },
        metadata: {
          startedOn: new Date(build.startedMs).toISOString(),
          finishedOn: new Date(build.finishedMs).toISOString(),
        },
      },
    },
  }
}
