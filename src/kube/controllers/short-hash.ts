/** Short hashes for names that must come out the same each time they are made. */

/** Kubernetes' safe alphabet, without vowels: no words by accident. */
export const letters = 'bcdfghjklmnpqrstvwxz2456789'

/** FNV-1a over UTF-16 code units, 32 bits. */
export function fnv32a(text: string): number {
  let hash = 0x811c9dc5
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193)
  return hash >>> 0
}

/** Five letters, as generated names end in. */
export function shortHash(text: string): string {
  let rest = fnv32a(text)
  let hash = ''
  for (let i = 0; i < 5; i++) {
    hash += letters[rest % letters.length]
    rest = Math.floor(rest / letters.length)
  }
  return hash
}
