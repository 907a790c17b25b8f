/**
 * What must hold once nobody troubles the platform any more and enough time has passed. Each check reads the store, the
 * containers and the gateway as they are, and answers complaints in plain words.
 */
import assert from 'node:assert/strict'
import { Deployment } from '../../src/kube/api/deployment.ts'
import { keyOf, keyText, type KubeObject } from '../../src/kube/api/meta.ts'
import { Namespace } from '../../src/kube/api/namespace.ts'
import { Pod } from '../../src/kube/api/pod.ts'
import { conditionOf } from '../../src/knative/conditions.ts'
import { Ingress } from '../../src/serving/api/ingress.ts'
import { label } from '../../src/serving/api/names.ts'
import { Revision } from '../../src/serving/api/revision.ts'
import { Service } from '../../src/serving/api/service.ts'
import { ingressHash } from '../../src/serving/controllers/ingress/snapshot.ts'
import { hostOf, isGood, isReady, namespaces } from './operations.ts'
import { pluralOf, type Witness } from './witness.ts'
import { kinds, type World } from './world.ts'

type Complaints = string[]

/** Kinds that are written without anything having changed: heartbeats, and news that expires. */
const restless = /^(leases\.|nodes\/|events\/)/

/** Everything that can be seen at one moment of rest. */
export function complaintsAtRest(world: World, witness: Witness): Complaints {
  const complaints: Complaints = []
  const complain = (text: string) => void complaints.push(text)
  for (const service of witness.all(Service)) checkService(service, world, witness, complain)
  checkPods(world, witness, complain)
  checkOwners(witness, complain)
  checkDeletions(witness, complain)
  checkWatchers(witness, complain)
  checkContainers(world, witness, complain)
  const { gateway } = world
  const stuck = [...gateway.revisions.values()].filter(
    ({ queue, target }) => queue.size > 0 && target.backends.length > 0,
  )
  for (const { target, queue } of stuck)
    complain(`${queue.size} requests of ${target.key} wait although it has a pod`)
  return complaints
}

type Complain = (text: string) => void

function checkService(service: Service, world: World, witness: Witness, complain: Complain): void {
  const key = keyText(keyOf(service))
  const { namespace = '', generation } = service.metadata
  const { status, spec } = service
  const ready = conditionOf(status, 'Ready')
  if (status?.observedGeneration !== generation)
    complain(`Service ${key}: observed ${status?.observedGeneration}, is at ${generation}`)
  const targets = spec.traffic ?? []
  const revisions = targets.map((target) =>
    witness.find(Revision, namespace, target.revisionName ?? status?.latestReadyRevisionName ?? ''),
  )
  const latest = witness.find(Revision, namespace, status?.latestCreatedRevisionName ?? '')
  const works =
    isGood(spec.template) &&
    latest !== undefined &&
    isReady(latest) &&
    revisions.every((revision) => revision !== undefined && isReady(revision))
  if (isGood(spec.template) && latest && !isReady(latest) && !givenUp(latest))
    complain(`Revision ${namespace}/${latest.metadata.name} is not ready: ${conditionText(latest)}`)
  const targetsText = targets.map(({ revisionName = '', tag = '' }) => `${revisionName} ${tag}`)
  if (works && new Set(targetsText).size < targets.length) {
    // Equal targets are merged in status, and then never equal the spec: as in Knative.
    if (ready?.reason !== 'TrafficNotMigrated')
      complain(`Service ${key} has a target twice, but says ${conditionText(service)}`)
    return
  }
  if (works && ready?.status !== 'True')
    complain(`Service ${key} is not ready: ${conditionText(service)}`)
  if (!works && (ready?.status !== 'False' || !ready.reason))
    complain(`Service ${key} can't be ready, but says ${conditionText(service)}`)
  if (works) checkTraffic(service, world, witness, complain)
}

/**
 * Its deadline passed while the platform was in trouble, or its last pods crashed just before it went to zero: Knative
 * says so, and leaves it at that until somebody asks for it.
 */
const givenUp = (revision: Revision): boolean => {
  const reason = conditionOf(revision.status, 'Ready')?.reason
  return reason === 'ProgressDeadlineExceeded' || reason === 'ExitCode137'
}

/** Status, Ingress and gateway route exactly what the spec asks for. */
function checkTraffic(service: Service, world: World, witness: Witness, complain: Complain): void {
  const key = keyText(keyOf(service))
  const { namespace = '', name } = service.metadata
  const latest = service.status?.latestReadyRevisionName
  const wanted = (service.spec.traffic ?? []).map(({ revisionName, percent = 0, tag = '' }) => ({
    revision: revisionName ?? latest,
    isLatest: revisionName === undefined,
    percent,
    tag,
  }))
  const seen = (service.status?.traffic ?? []).map(
    ({ revisionName, percent = 0, tag = '', latestRevision = false }) => ({
      revision: revisionName,
      isLatest: latestRevision,
      percent,
      tag,
    }),
  )
  if (!same(wanted, seen))
    complain(`Service ${key}: traffic is ${JSON.stringify(seen)}, asked ${JSON.stringify(wanted)}`)
  const ingress = witness.find(Ingress, namespace, name)
  if (!ingress) return complain(`Service ${key} is ready without Ingress`)
  const hosts = [
    hostOf(service),
    ...wanted.flatMap(({ tag }) => (tag ? [`${tag}-${hostOf(service)}`] : [])),
  ]
  for (const host of hosts) {
    const route = world.gateway.table.host(host, false)
    if (!route) complain(`Service ${key} is ready and ${host} is not routed`)
    else if (route.hash !== ingressHash(ingress))
      complain(`the gateway routes ${host} by an old Ingress`)
  }
  const shares = new Map<string, number>()
  const choice = world.gateway.table
    .host(hostOf(service), false)
    ?.paths.find(({ match }) => match.headers.length === 0)?.choice
  for (let i = 0; i < 100; i++) {
    const revision = choice?.next()?.revision.split('/')[1] ?? ''
    shares.set(revision, (shares.get(revision) ?? 0) + 1)
  }
  const due = new Map<string, number>()
  for (const { revision = '', percent } of wanted)
    if (percent > 0) due.set(revision, (due.get(revision) ?? 0) + percent)
  // A choice takes over the credit of the one before it, so a share may be one or two off.
  const off = [...new Set([...shares.keys(), ...due.keys()])].some(
    (revision) => Math.abs((shares.get(revision) ?? 0) - (due.get(revision) ?? 0)) > 2,
  )
  if (off)
    complain(`${key} is shared ${JSON.stringify([...shares])}, asked ${JSON.stringify([...due])}`)
}

/** After silence a revision has its minimum, if somebody routes to it, and nothing otherwise; never more than asked. */
function checkPods(world: World, witness: Witness, complain: Complain): void {
  const pods = witness.all(Pod).filter(({ metadata }) => !metadata.deletionTimestamp)
  for (const revision of witness.all(Revision)) {
    const { namespace = '', name, annotations = {}, labels = {} } = revision.metadata
    const mine = pods.filter(
      ({ metadata }) =>
        metadata.namespace === namespace && metadata.labels?.[label.revision] === name,
    )
    const reachable = labels[label.routingState] === 'active'
    const min = reachable ? Number(annotations['autoscaling.knative.dev/min-scale'] ?? 0) : 0
    const key = `${namespace}/${name}`
    if (isReady(revision)) {
      if (mine.length !== min)
        complain(`Revision ${key} has ${mine.length} pods in silence, wants ${min}`)
      const unready = mine.filter((pod) => !isReady(pod as never))
      if (unready.length > 0) complain(`${unready.length} pods of ${key} are not ready`)
    } else if (mine.length > Math.max(1, min))
      complain(`Revision ${key}, which is not ready, has ${mine.length} pods`)
    const deployment = witness.find(Deployment, namespace, `${name}-deployment`)
    if (deployment && deployment.metadata.generation !== deployment.status?.observedGeneration)
      complain(`Deployment ${namespace}/${name}-deployment is not observed`)
    const backends = world.gateway.revisions.get(key)?.target.backends.map(({ host }) => host)
    const addresses = mine
      .filter((pod) => isReady(pod as never))
      .map(({ status }) => status?.podIP ?? '')
    if (!same(backends?.toSorted() ?? [], addresses.toSorted()))
      complain(`the gateway has backends ${backends} of ${key}, which has pods ${addresses}`)
  }
}

/** Who has owners must have one that lives. */
function checkOwners(witness: Witness, complain: Complain): void {
  const objects = kinds.flatMap((kind) => witness.all(kind))
  const uids = new Set(objects.map(({ metadata }) => metadata.uid))
  for (const object of objects) {
    const owners = object.metadata.ownerReferences ?? []
    if (owners.length > 0 && !owners.some(({ uid }) => uids.has(uid)))
      complain(`${textOf(object)} has lost its owner ${owners[0]?.kind} ${owners[0]?.name}`)
  }
  const here = new Set(witness.all(Namespace).map(({ metadata }) => metadata.name))
  for (const object of objects)
    if (object.metadata.namespace && !here.has(object.metadata.namespace))
      complain(`${textOf(object)} is in a namespace that does not exist`)
  const services = new Set(witness.all(Service).map((service) => keyText(keyOf(service))))
  for (const revision of witness.all(Revision)) {
    const service = `${revision.metadata.namespace}/${revision.metadata.labels?.[label.service]}`
    if (!services.has(service)) complain(`${textOf(revision)} is left of Service ${service}`)
  }
}

/** What is to be deleted is gone by now. */
function checkDeletions(witness: Witness, complain: Complain): void {
  for (const kind of kinds)
    for (const object of witness.all(kind))
      if (object.metadata.deletionTimestamp)
        complain(
          `${textOf(object)} is being deleted for ever (finalizers ${object.metadata.finalizers})`,
        )
  for (const name of namespaces)
    if (!witness.find(Namespace, '', name)) complain(`namespace ${name} could not be made again`)
}

/** Clients that have followed every watch know what is stored. */
function checkWatchers(witness: Witness, complain: Complain): void {
  for (const kind of kinds) {
    const replica = witness.replicas.get(pluralOf(kind))
    const stored = Object.fromEntries(
      witness.all(kind).map((object) => [keyText(keyOf(object)), object.metadata.resourceVersion]),
    )
    if (replica && !same(Object.fromEntries(replica), stored))
      complain(`who watches ${kind.plural} sees something else than who lists them`)
  }
}

/** Processes and pods are the same set. */
function checkContainers({ containers }: World, witness: Witness, complain: Complain): void {
  const pods = new Set(witness.all(Pod).map(({ metadata }) => metadata.uid))
  for (const uid of containers.pods)
    if (!pods.has(uid)) complain(`a sandbox is left of pod ${uid}, which does not exist`)
  const { running } = containers
  for (const { stopped, podUid } of running) if (stopped) complain(`pod ${podUid} is left frozen`)
  for (const process of running)
    if (running.some((other) => other !== process && other.podUid === process.podUid))
      complain(`pod ${process.podUid} runs its program twice`)
}

/** Keys written during a time in which nothing happened. Revisions that fail are tried again, which is no storm. */
export function restlessKeys(witness: Witness): Complaints {
  const failing = witness
    .all(Revision)
    .filter((revision) => !isReady(revision))
    .map(({ metadata }) => metadata.name)
  return [...witness.writes]
    .filter(([key]) => !restless.test(key) && !failing.some((name) => key.includes(name)))
    .map(([key, count]) => `${key} was written ${count} times although nothing changed`)
}

const textOf = (object: KubeObject): string => `${object.kind} ${keyText(keyOf(object))}`

const conditionText = (object: Pick<Service, 'status'> | Pick<Revision, 'status'>): string =>
  JSON.stringify(
    (object.status?.conditions ?? []).map(
      ({ type, status, reason = '', message = '' }) => `${type}=${status} ${reason} ${message}`,
    ),
  )

function same(a: unknown, b: unknown): boolean {
  try {
    assert.deepEqual(a, b)
    return true
  } catch {
    return false
  }
}
