/**
 * Finds out which digest an image reference points to, in the background (upstream:
 * pkg/reconciler/revision/background.go). A Revision asks each time it is observed: the first time starts the search, its
 * end wakes the Revision. Failures are tried again with back-off for as long as somebody asks.
 */
import type { Clock } from '../../../lib/clock.ts'
import { keyText, type ObjectKey } from '../../../kube/api/meta.ts'
import type { Container } from '../../api/pod-spec.ts'

export type Digests =
  | { readonly kind: 'resolved'; readonly digests: ReadonlyMap<string, string> }
  | { readonly kind: 'pending' }
  | {
      readonly kind: 'failed'
      readonly image: string
      /** The registry's words. */
      readonly message: string
      /** When it is tried again. */
      readonly retryAtMs: number
    }

export interface DigestRequest {
  readonly key: ObjectKey
  readonly uid: string
  readonly containers: readonly Container[]
  /** On whose behalf a registry is asked. */
  readonly identity?: ImageIdentity
  /** Registries whose images are run by tag. */
  readonly skip: readonly string[]
  readonly timeoutMs: number
}

/** Who pulls: a Revision's ServiceAccount and pull secrets. */
export interface ImageIdentity {
  readonly namespace: string
  readonly serviceAccountName?: string | undefined
  readonly imagePullSecrets?: readonly { readonly name?: string }[] | undefined
}

export interface DigestResolver {
  /** What is known now, by container name; '' = not looked up on purpose. Starts what is not. */
  look(request: DigestRequest): Digests
  /** There may be images that were missing: what failed is tried again at once. */
  tryAgain(): void
  /** Nobody asks for this Revision any more. */
  forget(key: ObjectKey): void
  /** Called when the answer for a Revision has changed. */
  onChange(listener: (key: ObjectKey) => void): Disposable
}

export interface DigestResolverOptions {
  readonly clock: Clock
  /** Rejects with the registry's error. */
  readonly resolve: (image: string, identity: ImageIdentity) => Promise<string>
}

/** Images looked up at the same time; the others wait their turn. */
const workers = 100
/** Look-ups a second, and how many may come at once. */
const perSecond = 10
const burst = 100
/** What is answered this quickly came from the local store: it does not count against the rate. */
const localMs = 20
const firstRetryMs = 1_000
const longestRetryMs = 1_000_000

interface Search {
  readonly uid: string
  readonly key: ObjectKey
  answer: Digests
  failures: number
  running: boolean
}

export function createDigestResolver({ clock, resolve }: DigestResolverOptions): DigestResolver {
  const searches = new Map<string, Search>()
  const listeners = new Set<(key: ObjectKey) => void>()
  const waiting: (() => void)[] = []
  let active = 0
  let tokens = burst
  let filledAtMs = clock.monotonic()
  let cancelRefill: (() => void) | undefined

  /** Runs what waits, as far as workers and the rate allow. */
  const pump = () => {
    const nowMs = clock.monotonic()
    tokens = Math.min(burst, tokens + ((nowMs - filledAtMs) / 1000) * perSecond)
    filledAtMs = nowMs
    while (active < workers && tokens >= 1) {
      const start = waiting.shift()
      if (!start) return
      tokens -= 1
      active += 1
      start()
    }
    if (waiting.length > 0 && active < workers)
      cancelRefill ??= clock.after(Math.ceil(1000 / perSecond), () => {
        cancelRefill = undefined
        pump()
      })
  }

  const resolveOne = (
    image: string,
    { key, identity, timeoutMs }: DigestRequest,
  ): Promise<string> =>
    new Promise((done, fail) => {
      waiting.push(() => {
        const startMs = clock.monotonic()
        let ended = false
        const end = () => {
          if (ended) return
          ended = true
          cancel()
          active -= 1
          if (clock.monotonic() - startMs < localMs) tokens += 1
          pump()
        }
        const cancel = clock.after(timeoutMs, () => {
          fail(new Error(`no answer from the registry within ${timeoutMs / 1000}s`))
          end()
        })
        resolve(image, identity ?? { namespace: key.namespace })
          .then(done, fail)
          .finally(end)
      })
      pump()
    })

  const run = async (search: Search, request: DigestRequest) => {
    search.running = true
    let image = ''
    try {
      const digests = new Map<string, string>()
      for (const container of request.containers) {
        image = container.image ?? ''
        digests.set(
          container.name,
          known(image, request.skip) ?? (await resolveOne(image, request)),
        )
      }
      search.answer = { kind: 'resolved', digests }
      search.failures = 0
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error)
      const delayMs = Math.min(firstRetryMs * 2 ** search.failures, longestRetryMs)
      search.failures += 1
      search.answer = { kind: 'failed', image, message, retryAtMs: clock.now() + delayMs }
    }
    search.running = false
    if (searches.get(keyText(search.key)) !== search) return
    for (const listener of listeners) listener(search.key)
  }

  return {
    look(request) {
      const id = keyText(request.key)
      const atOnce = allKnown(request)
      if (atOnce) return { kind: 'resolved', digests: atOnce }
      let search = searches.get(id)
      if (search?.uid !== request.uid) {
        search = {
          uid: request.uid,
          key: request.key,
          answer: { kind: 'pending' },
          failures: 0,
          running: false,
        }
        searches.set(id, search)
      }
      const { answer } = search
      const due =
        answer.kind === 'pending' || (answer.kind === 'failed' && answer.retryAtMs <= clock.now())
      if (due && !search.running) void run(search, request)
      return answer
    },
    tryAgain() {
      for (const search of searches.values()) {
        if (search.answer.kind !== 'failed' || search.running) continue
        search.answer = { ...search.answer, retryAtMs: clock.now() }
        for (const listener of listeners) listener(search.key)
      }
    },
    forget: (key) => void searches.delete(keyText(key)),
    onChange(listener) {
      listeners.add(listener)
      return { [Symbol.dispose]: () => listeners.delete(listener) }
    },
  }
}

/** What needs no registry: an image named by digest as it is, '' for one of a registry that is skipped. */
function known(image: string, skip: readonly string[]): string | undefined {
  if (image.includes('@sha256:')) return image
  return skip.includes(registryOf(image)) ? '' : undefined
}

function allKnown({ containers, skip }: DigestRequest): ReadonlyMap<string, string> | undefined {
  const digests = new Map<string, string>()
  for (const { name, image = '' } of containers) {
    const digest = known(image, skip)
    if (digest === undefined) return undefined
    digests.set(name, digest)
  }
  return digests
}

/** The first part when it looks like a host, as image names are read. */
function registryOf(image: string): string {
  const slash = image.indexOf('/')
  const first = slash < 0 ? '' : image.slice(0, slash)
  return /[.:]|^localhost$/.test(first) ? first : 'index.docker.io'
}
