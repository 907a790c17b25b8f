/**
 * Hot path for revisions with session affinity (annotation `ebb.dev/session-affinity`); others never come here. Requests of one client go
 * to one pod, also across a traffic split, as long as that pod is there and has a free slot: else to another, for an answer
 * now is worth more than the same pod later (docs/decisions/008-session-affinity.md).
 *
 * By cookie: the first answer names the pod by a hash keyed with its UID, which only the cluster knows; so the name
 * says nothing, cannot be made up, and is the same in each worker and after a restart. By header: rendezvous hashing
 * (Thaler and Ravishankar 1998), so that when a pod comes or goes only its share of the values moves.
 */
import { createHmac } from 'node:crypto'
import type { RequestHead } from '../../../lib/http1/head.ts'
import { sameName } from '../../../lib/http1/fields.ts'
import { headerEdit, type HeaderEdit } from '../exchange/header-edit.ts'
import type { Pod } from '../pod/pod.ts'

/** What one request asks of the pods of its revision. */
export interface Affinity {
  /** The pod it should go to; undefined = any. */
  pick(pods: readonly Pod[]): Pod | undefined
  /** What its answer tells the client, when `pod` has given it. */
  edit(pod: Pod | undefined, pods: readonly Pod[]): HeaderEdit | undefined
}

/** `value`: of the request's cookie, if it brings one. */
export class CookieAffinity implements Affinity {
  readonly #cookie: string
  readonly #revision: string
  readonly #value: string | undefined

  constructor(cookie: string, revision: string, value: string | undefined) {
    this.#cookie = cookie
    this.#revision = revision
    this.#value = value
  }

  pick(pods: readonly Pod[]): Pod | undefined {
    const value = this.#value
    if (value === undefined) return undefined
    for (let i = 0; i < pods.length; i++)
      if (cookieValue(this.#revision, pods[i]!) === value) return pods[i]
    return undefined
  }

  /** A cookie for who has none, or one of a pod that is gone. Whose pod was only busy keeps it. */
  edit(pod: Pod | undefined, pods: readonly Pod[]): HeaderEdit | undefined {
    if (pod === undefined || this.pick(pods) !== undefined) return undefined
    const value = cookieValue(this.#revision, pod)
    return headerEdit([['Set-Cookie', `${this.#cookie}=${value}; Path=/; HttpOnly; SameSite=Lax`]])
  }
}

export class HeaderAffinity implements Affinity {
  readonly #value: string

  constructor(value: string) {
    this.#value = value
  }

  pick(pods: readonly Pod[]): Pod | undefined {
    let best: Pod | undefined
    let most = -1
    for (let i = 0; i < pods.length; i++) {
      const pod = pods[i]!
      const score = uniform(`${this.#value}\n${pod.name}\n${pod.address}`)
      if (pod.leaving || score <= most) continue
      most = score
      best = pod
    }
    return best
  }

  edit(): HeaderEdit | undefined {
    return undefined
  }
}

/** What cookies of this revision begin with. */
export function revisionMark(revision: string): string {
  let mark = marks.get(revision)
  if (mark === undefined) {
    mark = hash('revision', revision, 9)
    if (marks.size >= maxMarks) marks.clear()
    marks.set(revision, mark)
  }
  return mark
}

const maxMarks = 10_000
const marks = new Map<string, string>()
const values = new WeakMap<Pod, string>()

function cookieValue(revision: string, pod: Pod): string {
  let value = values.get(pod)
  if (value === undefined) {
    value = `${revisionMark(revision)}.${hash(pod.name, `${revision} ${pod.address}`, 16)}`
    values.set(pod, value)
  }
  return value
}

const hash = (key: string, text: string, sizeBytes: number): string =>
  createHmac('sha256', key).update(text).digest().subarray(0, sizeBytes).toString('base64url')

/** The value of a cookie in a request, or undefined. */
export function requestCookie({ names, values }: RequestHead, cookie: string): string | undefined {
  for (let i = 0; i < names.length; i++) {
    if (!sameName(names[i]!, 'cookie')) continue
    for (const pair of values[i]!.split(';')) {
      const equals = pair.indexOf('=')
      if (equals > 0 && pair.slice(0, equals).trim() === cookie)
        return pair.slice(equals + 1).trim()
    }
  }
  return undefined
}

/** The value of a header in a request, or undefined; '' counts as none. */
export function requestHeader({ names, values }: RequestHead, header: string): string | undefined {
  const lower = header.toLowerCase()
  for (let i = 0; i < names.length; i++)
    if (sameName(names[i]!, lower)) return values[i] === '' ? undefined : values[i]
  return undefined
}

/**
 * One of several weighted keys for this value: each value always the same one, each key about its share of the values,
 * and a change of weights moves no more values than it must (weighted rendezvous hashing). -1 when nothing has weight.
 */
export function weightedRendezvous(
  value: string,
  weighted: readonly { readonly key: string; readonly weight: number }[],
): number {
  let best = -1
  let most = -Infinity
  for (const [i, { key, weight }] of weighted.entries()) {
    if (weight <= 0) continue
    const score = Math.log(uniform(`${value}\n${key}`)) / weight
    if (score <= most) continue
    most = score
    best = i
  }
  return best
}

/** In (0, 1), the same for the same text: FNV-1a, then mixed, for FNV leaves near texts near. */
function uniform(text: string): number {
  let h = 0x811c9dc5
  for (let i = 0; i < text.length; i++) h = Math.imul(h ^ text.charCodeAt(i), 0x01000193)
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b)
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35)
  return (((h ^ (h >>> 16)) >>> 0) + 0.5) / 4_294_967_296
}
