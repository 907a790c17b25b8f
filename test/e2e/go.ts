/** Go, for programs that tests build; never installed for them, as Debian's may be too old. */
import { spawnSync } from 'node:child_process'

/** True when there is a Go of version 1.`minor` or later on the PATH. */
export function hasGo(minor: number): boolean {
  const { stdout } = spawnSync('go', ['env', 'GOVERSION'], { encoding: 'utf8' })
  const [, major = '0', found = '0'] = /^go(\d+)\.(\d+)/.exec(stdout ?? '') ?? []
  return Number(major) > 1 || Number(found) >= minor
}
