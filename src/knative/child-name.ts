/** Names of child objects, kept within 63 characters by a hash (knative.dev/pkg `kmeta.ChildName`). */
import { md5 } from './hash.ts'

const longest = 63
const hashLength = 32

/** `parent` + `suffix`, or a hashed form of it with at most 63 characters. Both are ASCII, as names are. */
export function childName(parent: string, suffix: string): string {
  if (parent.length + suffix.length <= longest) return parent + suffix
  const head = longest - hashLength
  if (suffix.length < head) {
    return parent.slice(0, head - suffix.length) + md5(parent) + suffix
  }
  const hashed = parent.slice(0, head) + md5(parent + suffix)
  return (hashed + suffix).slice(0, longest).replace(/[^A-Za-z0-9]+$/, '')
}
