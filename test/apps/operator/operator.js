/**
 * A small operator as people write them with @kubernetes/client-node: it brings its own kind, elects a leader by a Lease,
 * follows its objects with an informer, holds them by a finalizer while it tidies up, and reports in their status.
 * Run as `node operator.js NAME` with KUBECONFIG set; NAME is its identity in the election.
 */
import {
  ApiextensionsV1Api,
  CoordinationV1Api,
  CoreV1Api,
  CustomObjectsApi,
  KubeConfig,
  PatchStrategy,
  V1MicroTime,
  makeInformer,
  setHeaderOptions,
} from '@kubernetes/client-node'

const group = 'memos.example.com'
const version = 'v1'
const plural = 'memos'
const namespace = 'default'
const finalizer = `${group}/tidy`
const identity = process.argv[2] ?? 'operator'
const leaseSeconds = 2

const config = new KubeConfig()
config.loadFromDefault()
const definitions = config.makeApiClient(ApiextensionsV1Api)
const leases = config.makeApiClient(CoordinationV1Api)
const core = config.makeApiClient(CoreV1Api)
const objects = config.makeApiClient(CustomObjectsApi)
const mergePatch = setHeaderOptions('Content-Type', PatchStrategy.MergePatch)
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms))
const say = (text) => console.log(`${identity}: ${text}`)

await install()
await lead()
say('leads')
void keepLeading()
await follow()

async function install() {
  const body = {
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    metadata: { name: `${plural}.${group}` },
    spec: {
      group,
      scope: 'Namespaced',
      names: { plural, singular: 'memo', kind: 'Memo', shortNames: ['mm'] },
      versions: [
        {
          name: version,
          served: true,
          storage: true,
          subresources: { status: {} },
          additionalPrinterColumns: [
            { name: 'Words', type: 'integer', jsonPath: '.status.words' },
            {
              name: 'Ready',
              type: 'string',
              jsonPath: '.status.conditions[?(@.type=="Ready")].status',
            },
          ],
          schema: {
            openAPIV3Schema: {
              type: 'object',
              required: ['spec'],
              properties: {
                spec: {
                  type: 'object',
                  required: ['text'],
                  properties: { text: { type: 'string', minLength: 1, maxLength: 1000 } },
                  x_kubernetes_validations: [
                    {
                      rule: `!self.text.contains('forbidden')`,
                      message: 'that word is not allowed',
                    },
                  ],
                },
                status: {
                  type: 'object',
                  properties: {
                    words: { type: 'integer' },
                    observedGeneration: { type: 'integer', format: 'int64' },
                    conditions: {
                      type: 'array',
                      x_kubernetes_list_type: 'map',
                      x_kubernetes_list_map_keys: ['type'],
                      items: {
                        type: 'object',
                        required: ['type', 'status'],
                        properties: {
                          type: { type: 'string' },
                          status: { type: 'string', _enum: ['True', 'False', 'Unknown'] },
                          lastTransitionTime: { type: 'string', format: 'date-time' },
                        },
                      },
                    },
                  },
                },
              },
            },
          },
        },
      ],
    },
  }
  await definitions.createCustomResourceDefinition({ body }).catch(unless(409))
  for (;;) {
    const { status } = await definitions.readCustomResourceDefinition({ name: body.metadata.name })
    if (status?.conditions?.some((each) => each.type === 'Established' && each.status === 'True'))
      return
    await sleep(50)
  }
}

function unless(...codes) {
  return (error) => {
    if (!codes.includes(error.code)) throw error
  }
}

/** Waits until the Lease is ours: free, or not renewed for its duration. */
async function lead() {
  const name = 'memo-operator'
  const ours = (now) => ({
    holderIdentity: identity,
    leaseDurationSeconds: leaseSeconds,
    acquireTime: now,
    renewTime: now,
  })
  let seen
  let seenAt = 0
  for (;;) {
    const now = new V1MicroTime()
    try {
      const lease = await leases.readNamespacedLease({ name, namespace })
      const renewed = String(lease.spec?.renewTime)
      if (renewed !== seen) [seen, seenAt] = [renewed, Date.now()]
      const isFree = !lease.spec?.holderIdentity || Date.now() - seenAt > leaseSeconds * 1000
      if (isFree || lease.spec.holderIdentity === identity) {
        lease.spec = Object.assign(lease.spec ?? {}, ours(now))
        await leases.replaceNamespacedLease({ name, namespace, body: lease })
        return
      }
    } catch (error) {
      if (error.code === 404) {
        const body = { metadata: { name, namespace }, spec: ours(now) }
        const made = await leases.createNamespacedLease({ namespace, body }).catch(unless(409))
        if (made) return
      } else if (error.code !== 409) throw error
    }
    await sleep(250)
  }
}

async function keepLeading() {
  for (;;) {
    await sleep((leaseSeconds * 1000) / 4)
    const lease = await leases.readNamespacedLease({ name: 'memo-operator', namespace })
    if (lease.spec?.holderIdentity !== identity) process.exit(1)
    lease.spec.renewTime = new V1MicroTime()
    await leases
      .replaceNamespacedLease({ name: 'memo-operator', namespace, body: lease })
      .catch(unless(409))
  }
}

async function follow() {
  const informer = makeInformer(
    config,
    `/apis/${group}/${version}/namespaces/${namespace}/${plural}`,
    () => objects.listNamespacedCustomObject({ group, version, namespace, plural }),
  )
  // One object at a time, the newest state of it.
  const waiting = new Map()
  let working = false
  const work = async () => {
    if (working) return
    working = true
    for (let next; (next = waiting.entries().next().value);) {
      const [name, memo] = next
      waiting.delete(name)
      try {
        await reconcile(memo)
      } catch (error) {
        if (error.code !== 409 && error.code !== 404) say(`failed: ${error.message}`)
      }
    }
    working = false
  }
  const enqueue = (memo) => {
    waiting.set(memo.metadata.name, memo)
    void work()
  }
  informer.on('add', enqueue)
  informer.on('update', enqueue)
  informer.on('error', () => setTimeout(() => void informer.start(), 500))
  await informer.start()
}

async function reconcile(memo) {
  const { name, uid, generation, deletionTimestamp, finalizers = [] } = memo.metadata
  const place = { group, version, namespace, plural, name }
  if (deletionTimestamp) {
    if (!finalizers.includes(finalizer)) return
    say(`tidies up after ${name}`)
    const body = { metadata: { finalizers: finalizers.filter((each) => each !== finalizer) } }
    await objects.patchNamespacedCustomObject({ ...place, body }, mergePatch)
    return
  }
  if (!finalizers.includes(finalizer)) {
    const body = { metadata: { finalizers: [...finalizers, finalizer] } }
    await objects.patchNamespacedCustomObject({ ...place, body }, mergePatch)
    return
  }
  if (memo.status?.observedGeneration === generation) return
  const text = memo.spec.text
  const body = {
    metadata: {
      name,
      ownerReferences: [
        { apiVersion: `${group}/${version}`, kind: 'Memo', name, uid, controller: true },
      ],
    },
    data: { text, by: identity },
  }
  await core.createNamespacedConfigMap({ namespace, body }).catch((error) => {
    if (error.code !== 409) throw error
    return core.replaceNamespacedConfigMap({ namespace, name, body })
  })
  const status = {
    words: text.split(' ').length,
    observedGeneration: generation,
    conditions: [{ type: 'Ready', status: 'True', lastTransitionTime: new Date().toISOString() }],
  }
  await objects.patchNamespacedCustomObjectStatus({ ...place, body: { status } }, mergePatch)
  say(`has written ${name}`)
}
