/** The key that signs ServiceAccount tokens, in a file of the data directory: tokens outlive a restart. */
import { createPrivateKey } from 'node:crypto'
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { newTokenKey } from '../../kube/apiserver/access/token-keys.ts'

/**
 * PEM texts: the key, and behind it those in `service-account.old.pem`, which only check (to replace a key, move the
 * old one there). A key that is missing or unreadable is made anew, and tokens that it signed are worth nothing then.
 */
export async function ensureTokenKeys(certificates: string): Promise<readonly string[]> {
  const path = join(certificates, 'service-account.key')
  const old = await readText(join(certificates, 'service-account.old.pem'))
  const found = await readText(path)
  const others = old?.match(/-----BEGIN [^-]+-----[^-]+-----END [^-]+-----/g) ?? []
  if (found !== undefined && isPrivateKey(found)) return [found, ...others]
  const made = newTokenKey()
  await mkdir(dirname(path), { recursive: true, mode: 0o700 })
  await writeFile(`${path}.new`, made, { mode: 0o600 })
  await rename(`${path}.new`, path)
  return [made, ...others]
}

async function readText(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8')
  } catch {
    return undefined
  }
}

function isPrivateKey(pem: string): boolean {
  try {
    createPrivateKey(pem)
    return true
  } catch {
    return false
  }
}
