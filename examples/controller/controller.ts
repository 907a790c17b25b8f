/**
 * A small controller: logs the Route and the Revisions of every Service whenever one of them changes, and keeps their
 * number in an annotation. `npm install && KUBECONFIG=… node controller.ts`, with Node 24, beside any Knative.
 */
import { randomUUID } from 'node:crypto'
import * as ebb from 'ebb'
import { Configuration, keyOf, keyText, Revision, Route, Service } from 'ebb'

const annotation = 'example.com/revisions'

/** What the controller looks at, as one moment. */
interface World {
  readonly service: Service
  readonly route: Route | undefined
  readonly revisions: readonly Revision[]
}

/** One JSON line; all lines of a pass share the trace id. */
function logger(key: string): (msg: string) => void {
  const trace = { 'knative.dev/traceid': randomUUID(), 'knative.dev/key': key }
  return (msg) => console.log(JSON.stringify({ level: 'info', msg, ...trace }))
}

const nameOf = (object: ebb.KubeObject) => keyText(keyOf(object))

const serving: ebb.Reconciler<Service, World> = {
  name: 'serving-controller',
  kind: Service,
  watches: [
    { kind: Configuration, wake: 'owner' },
    { kind: Route, wake: 'owner' },
    {
      kind: Revision,
      wake({ metadata: { namespace = '', labels } }) {
        const name = labels?.['serving.knative.dev/service']
        return name ? [{ namespace, name }] : []
      },
    },
  ],
  observe(service, read) {
    const { namespace, name } = keyOf(service)
    const labels = { 'serving.knative.dev/service': name }
    const revisions = read.list(Revision, namespace, labels)
    return { service, route: read.get(Route, { namespace, name }), revisions }
  },
  plan({ service, route, revisions }) {
    const key = nameOf(service)
    const log = logger(key)
    log(`Reconcile: ${key}`)
    if (route) log(`service: ${key} route: ${nameOf(route)}`)
    log(`service: ${key} revisions: ${revisions.length}`)
    for (const revision of revisions) log(`service: ${key} revision: ${nameOf(revision)}`)
    const count = String(revisions.length)
    if (service.metadata.annotations?.[annotation] === count) return {}
    const body = { metadata: { annotations: { [annotation]: count } } }
    return { patch: [{ kind: Service, key: keyOf(service), body }] }
  },
  gone(key) {
    logger(keyText(key))(`service '${keyText(key)}' no longer exists`)
    return {}
  },
}

const platform = await ebb.connect({ env: process.env, name: 'serving-controller' })
const running = ebb.startController(serving, platform)
console.log(`working on ${platform.server}`)
process.once('SIGINT', () => {
  void running[Symbol.asyncDispose]().then(() => platform[Symbol.asyncDispose]())
})
