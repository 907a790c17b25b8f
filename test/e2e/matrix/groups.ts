/** The whole matrix, in the order of the table. */
import type { Group } from './row.ts'
import { change, remove, rollout } from './rows/changing.ts'
import { access, node } from './rows/cluster.ts'
import { apply, create } from './rows/making.ts'
import { logs, streams } from './rows/pods.ts'
import { describe, explain, get } from './rows/reading.ts'

export const groups: readonly Group[] = [
  get,
  describe,
  explain,
  create,
  apply,
  change,
  rollout,
  remove,
  logs,
  streams,
  access,
  node,
]
