/**
 * Brings what speaks about an image: SBOMs, provenance, signatures (distribution-spec 1.1, "Listing Referrers"), from the
 * registry's list or, where it keeps none, from the index under the tag that stands in for it.
 */
import type { ContentStore, Descriptor } from '../content-store.ts'
import { readDocument } from '../manifest.ts'
import { putReferrer } from '../referrers.ts'
import type { FetchedManifest, Session } from './session.ts'

export interface ReferrerPullDeps {
  readonly store: ContentStore
  readonly fetchManifest: (session: Session, digest: string) => Promise<FetchedManifest>
  readonly fetchAll: (session: Session, blobs: readonly Descriptor[]) => Promise<void>
}

/** Anybody who may push could add some. */
const maxReferrers = 50
const maxBytes = 64 << 20

/** Answers how many there are in the store now. What is no manifest about `subject`, or too large, is left out. */
export async function pullReferrers(
  session: Session,
  subject: string,
  { store, fetchManifest, fetchAll }: ReferrerPullDeps,
): Promise<number> {
  let found = 0
  for (const { digest } of (await session.referrers(subject)).slice(0, maxReferrers)) {
    const { bytes, mediaType } = await fetchManifest(session, digest)
    let document
    try {
      document = readDocument(bytes, mediaType)
    } catch {
      continue
    }
    const size = document.needs.reduce((total, blob) => total + blob.size, 0)
    if (document.kind !== 'image' || document.subject?.digest !== subject || size > maxBytes)
      continue
    const blobs = new Map(document.needs.map((blob) => [blob.digest, blob]))
    await fetchAll(session, [...blobs.values()])
    await putReferrer(store, bytes)
    found++
  }
  return found
}
