/** Creates a Service and waits until it is ready: `KUBECONFIG=… node create.ts IMAGE`. */
import { connect, isReady, keyOf, Service } from 'ebb'

await using platform = await connect({ env: process.env, name: 'serving-sdk-demo' })
const { client, informers, namespace } = platform
const image = process.argv[2] ?? 'dev.local/hello'
const env = [{ name: 'TARGET', value: 'serving sdk demo, manager <.|.>' }]
const created = await client.create<Service>(Service, {
  apiVersion: 'serving.knative.dev/v1',
  kind: 'Service',
  metadata: { name: '', generateName: 'manager-create-ksvc-', namespace },
  spec: {
    template: { spec: { containers: [{ name: 'user-container', image, env }] } },
    traffic: [],
  },
})
console.log(`create ksvc success!! ${created.metadata.name}`)

const ready = await new Promise<Service>((resolve) => {
  informers.for(Service).subscribe((_type, service) => {
    if (service.metadata.uid === created.metadata.uid && isReady(service)) resolve(service)
  })
})
console.log(`${keyOf(ready).name} is ready at ${ready.status?.url}`)
