/**
 * Who a container's program is: names of users and groups as the image's own /etc/passwd and /etc/group have them
 * (image-spec, config `User`: user, uid, user:group, uid:gid, uid:group, user:gid).
 */
import { readInside } from './inside.ts'

export interface WantedUser {
  /** The image's `User`; '' = root. */
  readonly image: string
  /** The pod's, which goes before it. */
  readonly uid?: number
  readonly gid?: number
  /** Further groups that the pod asks for. */
  readonly groups?: readonly number[]
}

export interface FoundUser {
  readonly uid: number
  readonly gid: number
  readonly groups: readonly number[]
  readonly home: string
}

/** The image has no such user or group; the message is that of container runtimes. */
export class NoUser extends Error {
  override readonly name = 'NoUser'
}

/** Far above any image's; more is not read. */
const maxFileBytes = 4 << 20
const maxId = 2 ** 31 - 1

export function findUser(root: string, wanted: WantedUser): FoundUser {
  const users = lines(root, '/etc/passwd')
  const groups = lines(root, '/etc/group')
  const [userText = '', groupText = ''] = wanted.image.split(':')
  const named =
    wanted.uid === undefined && userText !== '' && !isId(userText)
      ? users.find(([name, , id]) => name === userText && idOf(id) !== undefined)
      : undefined
  if (wanted.uid === undefined && userText !== '' && !isId(userText) && !named)
    throw new NoUser(`unable to find user ${userText}: no matching entries in passwd file`)
  const uid = wanted.uid ?? idOf(named?.[2]) ?? idOf(userText) ?? 0
  const entry = named ?? users.find(([, , id]) => idOf(id) === uid)
  let gid = wanted.gid
  if (gid === undefined && wanted.uid === undefined && groupText !== '') {
    gid = idOf(groupText) ?? idOf(groups.find(([name]) => name === groupText)?.[2])
    if (gid === undefined)
      throw new NoUser(`unable to find group ${groupText}: no matching entries in group file`)
  }
  const own = entry?.[0]
  const memberships =
    own === undefined
      ? []
      : groups.flatMap(([, , id, members = '']) =>
          members.split(',').includes(own) ? [idOf(id) ?? []].flat() : [],
        )
  const first = gid ?? idOf(entry?.[3]) ?? 0
  return {
    uid,
    gid: first,
    // The first as well, as container runtimes have it: what is refused to a group stays so (CVE-2022-2995).
    groups: [...new Set([first, ...memberships, ...(wanted.groups ?? [])])],
    home: entry?.[5] || '/',
  }
}

const lines = (root: string, path: string): readonly (readonly string[])[] =>
  readInside(root, path, maxFileBytes)
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('#'))
    .map((line) => line.split(':'))

const isId = (text: string): boolean => /^\d{1,10}$/.test(text) && Number(text) <= maxId
const idOf = (text: string | undefined): number | undefined =>
  text !== undefined && isId(text) ? Number(text) : undefined
