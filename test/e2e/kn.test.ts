/** Stock kn and helm against `ebb up`: what they print, what they wait for, what they keep. */
import assert from 'node:assert/strict'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { goProgram, helm, kn, withoutProgram } from './go-programs.ts'
import { run, startEbb, until, withoutKubectl, type Ebb, type Ran } from './platform.ts'

const knPath = goProgram(kn)
const helmPath = goProgram(helm)
const withoutKn = withoutProgram(kn, knPath)
const image = 'dev.local/hello'

let ebb: Ebb
before(async () => {
  if (knPath === undefined && helmPath === undefined) return
  ebb = await startEbb()
  await ebb.build('helloworld-nodejs', image)
})
after(() => ebb?.[Symbol.asyncDispose]())

const start = (path: string | undefined, args: readonly string[]): Promise<Ran> =>
  run(path ?? '', args, { env: { KUBECONFIG: ebb.kubeconfig, HOME: ebb.dataDir } })

async function ok(path: string | undefined, args: readonly string[]): Promise<string> {
  const { code, stdout, stderr } = await start(path, args)
  assert.equal(code, 0, `${args.join(' ')}: ${stderr}${stdout}`)
  return stdout
}
/** The command line is split at spaces. */
const say = (line: string) => ok(knPath, line.split(' '))
const fails = async (line: string): Promise<string> => {
  const { code, stderr } = await start(knPath, line.split(' '))
  assert.notEqual(code, 0, line)
  return stderr
}

test('kn: services from their creation to their end', { skip: withoutKn }, async () => {
  assert.match(await say('service list'), /^No services found\.\n$/)
  const created = await say(`service create hello --image ${image} --env TARGET=a --label app=x`)
  assert.match(created, /^Creating service 'hello' in namespace 'default':\n/)
  assert.match(created, /Ready to serve\.\n/)
  assert.match(
    created,
    /Service 'hello' created to latest revision 'hello-00001' is available at URL:\nhttp:\/\/hello\.default\./,
  )
  assert.match(
    await fails(`service create hello --image ${image}`),
    /because the service already exists and no --force option was given/,
  )
  const updated = await say(
    'service update hello --env TARGET=b --tag hello-00001=old --traffic hello-00001=20 --traffic @latest=80',
  )
  assert.match(updated, /Service 'hello' updated to latest revision 'hello-00002'/)
  const apply = `service apply hello --image ${image} --env TARGET=c`
  assert.match(await say(apply), /Service 'hello' applied to latest revision 'hello-00003'/)
  assert.match(await say(apply), /No changes to apply to service 'hello'\./)
  assert.match(
    await say('service list'),
    /^NAME +URL +LATEST +AGE +CONDITIONS +READY +REASON\s*\nhello +http\S+ +hello-00003 +\S+ +3 OK \/ 3 +True/,
  )
  const described = await say('service describe hello --verbose')
  assert.match(described, /80% +@latest \(hello-00003\) \[3\]/)
  assert.match(described, /20% +hello-00001 #old \[1\]/)
  assert.match(described, /\+ +hello-00002 \[2\]/)
  assert.match(described, /\+\+ Ready/)
  assert.match(await say('service wait hello'), /is ready\.\n$/)

  assert.match(await say('revision list -s hello'), /hello-00001 +hello +20% +old +1 .*4 OK \/ 4/)
  assert.match(await say('revision describe hello-00002'), /Env: +TARGET=b/)
  assert.match(await say('route list'), /hello +http\S+ +True/)
  assert.match(await say('route describe hello'), /20% +hello-00001 #old/)
  await say('revision delete hello-00002 --wait')
  assert.match(await say('service delete hello --wait'), /'hello' successfully deleted/)
  assert.match(
    await fails('service describe hello'),
    /services\.serving\.knative\.dev "hello" not found/,
  )
})

test('kn: export and import, failures, domains', { skip: withoutKn }, async () => {
  await say(`service create pair --image ${image} --revision-name one`)
  await say(
    'service update pair --env A=b --revision-name two --traffic pair-one=50 --traffic @latest=50',
  )
  const exported = await say('service export pair --with-revisions --mode=export -o yaml')
  await say('service delete pair --wait')
  assert.match(
    await say(`service import ${await ebb.file('pair.yaml', exported)}`),
    /Service 'pair' imported to latest revision 'pair-two'/,
  )
  assert.match(await say('revision list'), /pair-one +pair +50%[^]*pair-two +pair +50%/)

  assert.match(
    await fails('service create gone --image nothing.invalid/none'),
    /Error: RevisionFailed: Revision "gone-00001" failed with message: Unable to fetch image/,
  )
  const claim = `apiVersion: networking.internal.knative.dev/v1alpha1
kind: ClusterDomainClaim
metadata: {name: www.example.net}
spec: {namespace: default}
`
  await say('domain create www.example.net --ref pair')
  assert.match(await say('domain describe www.example.net'), /Kind: +Service/)
  if (!withoutKubectl) {
    await ebb.ok('apply', '-f', await ebb.file('claim.yaml', claim))
    await until('the domain is ready', async () =>
      /www\.example\.net +\S+ +True +pair/.test(await say('domain list')),
    )
  }
  await say('domain delete www.example.net')
  await say('service delete pair gone')
})

test('kn: the nouns of Eventing', { skip: withoutKubectl || withoutKn }, async () => {
  assert.match(await say('source list-types'), /PingSource +X +pingsources\.sources\.knative\.dev/)
  assert.match(await say('channel list-types'), /InMemoryChannel/)
  await say('broker create default')
  await until('the broker is ready', async () => /7 OK \/ 7 +True/.test(await say('broker list')))
  assert.match(
    await say('broker describe default'),
    /URL: +http:\/\/broker-ingress\.knative-eventing/,
  )
  assert.match(await say('broker describe default -o url'), /^http:\S+\/default\/default\n$/)
  const retries = '--retry 3 --timeout PT5S --backoff-policy linear --backoff-delay PT1S'
  await say(`broker create careful --dl-sink http://localhost/ ${retries}`)
  await say('broker update careful --retry 5')
  const delivery = ['get', 'broker', 'careful', '-o', 'jsonpath={.spec.delivery}']
  assert.deepEqual(JSON.parse(await ebb.ok(...delivery)), {
    backoffDelay: 'PT1S',
    backoffPolicy: 'linear',
    deadLetterSink: { uri: 'http://localhost/' },
    retry: 5,
    timeout: 'PT5S',
  })
  assert.match(await say('channel list-types'), /InMemoryChannel +inmemorychannels\.messaging/)
  assert.match(await say('source list-types'), /SinkBinding +X +sinkbindings\.sources/)
  await say(`service create sink --image ${image}`)
  await say('trigger create t --broker default --filter type=a.b --sink ksvc:sink')
  await until('the trigger is ready', async () => / True /.test(await say('trigger list')))
  assert.match(await say('trigger describe t'), /Filter: +\n +type: +a\.b/)
  await say('trigger update t --filter type=a.c')
  await say('channel create c')
  await say('subscription create s --channel c --sink ksvc:sink')
  await until('the subscription is ready', async () =>
    /Channel:c +ksvc:sink .*True/.test(await say('subscription list')),
  )
  await ok(knPath, [
    'source',
    'ping',
    'create',
    'p',
    '--schedule',
    '0 0 1 1 *',
    '--data',
    'x',
    '--sink',
    'broker:default',
  ])
  assert.match(await say('source ping describe p'), /Schedule: +0 0 1 1 \*/)
  await say('source binding create b --subject apps/v1:Deployment:x --sink broker:default')
  await say(`source container create k --image ${image} --sink broker:default`)
  await say('source apiserver create a --resource v1:Event --sink broker:default')
  assert.match(
    await say('source list'),
    /a +ApiServerSource[^]*b +SinkBinding[^]*k +ContainerSource[^]*p +PingSource/,
  )
  await say('eventtype create e --type a.b --broker default')
  await say('eventtype create r --type a.c --reference broker:careful')
  assert.match(await say('eventtype list'), /e +a\.b[^]*r +a\.c.* careful/)
  for (const line of [
    'source ping delete p',
    'source binding delete b',
    'source container delete k',
    'source apiserver delete a',
    'eventtype delete e',
    'subscription delete s',
    'channel delete c',
    'trigger delete t',
    'eventtype delete r',
    'broker delete careful --wait',
    'broker delete default',
    'service delete sink',
  ])
    assert.match(await say(line), /deleted/)
})

test(
  'helm: install, upgrade, rollback, uninstall',
  { skip: withoutProgram(helm, helmPath) },
  async () => {
    const chart = join(ebb.dataDir, 'chart')
    await mkdir(join(chart, 'templates'), { recursive: true })
    await writeFile(join(chart, 'Chart.yaml'), 'apiVersion: v2\nname: tiny\nversion: 0.1.0\n')
    await writeFile(join(chart, 'values.yaml'), 'word: one\n')
    await writeFile(
      join(chart, 'templates', 'all.yaml'),
      `apiVersion: v1
kind: ConfigMap
metadata: {name: "{{ .Release.Name }}-words"}
data: {word: "{{ .Values.word }}"}
---
{{- if .Capabilities.APIVersions.Has "serving.knative.dev/v1" }}
apiVersion: serving.knative.dev/v1
kind: Service
metadata: {name: "{{ .Release.Name }}"}
spec: {template: {spec: {containers: [{image: ${image}, env: [{name: TARGET, value: "{{ .Values.word }}"}]}]}}}
{{- end }}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: "{{ .Release.Name }}-d"}
spec:
  selector: {matchLabels: {app: d}}
  template:
    metadata: {labels: {app: d}}
    spec: {containers: [{name: a, image: ${image}}]}
`,
    )
    const say = (...args: string[]) => ok(helmPath, args)
    const word = async () => /word: "(\w+)"/.exec(await say('get', 'manifest', 'r'))?.[1]
    assert.match(await say('install', 'r', chart, '--wait'), /STATUS: deployed/)
    assert.equal(await word(), 'one')
    await say('upgrade', 'r', chart, '--set', 'word=two', '--wait')
    assert.equal(await word(), 'two')
    assert.match(await say('rollback', 'r', '1', '--wait'), /Rollback was a success/)
    assert.equal(await word(), 'one')
    assert.match(await say('history', 'r'), /1 .*superseded[^]*3 .*deployed .*Rollback to 1/)
    assert.match(await say('uninstall', 'r', '--wait'), /release "r" uninstalled/)
    assert.equal((await say('list', '-q')).trim(), '')
  },
)
