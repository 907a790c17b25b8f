/**
 * What the control plane has said so far, as the shortest list of messages that says it again: for a gateway worker that
 * starts later than the others.
 */
import type { ToGateway } from '../feed.ts'

export class FeedCopy {
  #told = new Map<string, ToGateway>()
  /** What came since `reset`; undefined = no snapshot is on its way. */
  #fresh: Map<string, ToGateway> | undefined
  /** A whole snapshot has come. */
  informed = false

  add(message: ToGateway): void {
    const told = this.#fresh ?? this.#told
    switch (message.type) {
      case 'reset':
        this.#fresh = new Map()
        return
      case 'sync':
        this.#told = told
        this.#fresh = undefined
        this.informed = true
        return
      case 'ingress':
        told.set(`ingress ${message.ingress.key}`, message)
        return
      case 'revision':
        told.set(`revision ${message.revision.key}`, message)
        return
      case 'certificate':
        told.set(`certificate ${message.certificate.key}`, message)
        return
      case 'ingress-gone':
        told.delete(`ingress ${message.key}`)
        return
      case 'revision-gone':
        told.delete(`revision ${message.key}`)
        return
      case 'certificate-gone':
        told.delete(`certificate ${message.key}`)
        return
      case 'challenge': {
        const key = `challenge ${message.host} ${message.token}`
        if (message.response === null) told.delete(key)
        else told.set(key, message)
        return
      }
      case 'settings':
        told.set('settings', message)
        return
      default:
        return
    }
  }

  /** Everything from `reset` up to the `sync` that is to follow. Nothing before the first snapshot. */
  *messages(): Generator<ToGateway> {
    if (!this.informed) return
    yield { type: 'reset' }
    yield* this.#told.values()
  }
}
