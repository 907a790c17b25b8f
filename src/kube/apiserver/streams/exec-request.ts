/** What the query of exec and attach asks for. */
import type { UnknownObject } from '../../api/meta.ts'
import { badRequest, StatusError } from '../../api/status-error.ts'
import { chooseContainer } from '../http/pod-log-endpoint.ts'
import { isTrue } from '../http/request-options.ts'
import { fieldsOf } from '../values.ts'

export interface ExecRequest {
  readonly container: string
  /** Empty for attach. */
  readonly command: readonly string[]
  readonly stdin: boolean
  readonly stdout: boolean
  readonly stderr: boolean
  readonly tty: boolean
}

/** Reads and checks a request for streams of a pod. Throws BadRequest. */
export function execRequest(
  pod: UnknownObject,
  query: URLSearchParams,
  verb: 'exec' | 'attach',
): ExecRequest {
  const flag = (name: string): boolean => isTrue(query.get(name) ?? 'false')
  const command = query.getAll('command')
  const tty = flag('tty')
  const stdin = flag('stdin')
  // Without a parameter upstream assumes both for attach; a terminal has one output.
  const stdout = query.has('stdout') || verb === 'exec' ? flag('stdout') : true
  const stderr = !tty && (query.has('stderr') || verb === 'exec' ? flag('stderr') : true)
  if (!stdin && !stdout && !stderr)
    throw badRequest('you must specify at least 1 of stdin, stdout, stderr')
  if (verb === 'exec' && command.length === 0)
    throw badRequest('you must specify at least one command for the container')
  return {
    container: chooseContainer(pod, query.get('container') ?? ''),
    command: verb === 'exec' ? command : [],
    stdin,
    stdout,
    stderr,
    tty,
  }
}

/** Refuses streams of a container that does not run, in the kubelet's words. */
export function checkRunning(pod: UnknownObject, container: string): void {
  const status = fieldsOf(pod['status'])
  const { phase } = status
  if (phase === 'Succeeded' || phase === 'Failed')
    throw badRequest(
      `cannot exec into a container in a completed pod; current phase is ${String(phase)}`,
    )
  if (!fieldsOf(pod['spec'])['nodeName'])
    throw badRequest(`pod ${pod.metadata.name} does not have a host assigned`)
  const all = ['containerStatuses', 'initContainerStatuses', 'ephemeralContainerStatuses'].flatMap(
    (field) => status[field] ?? [],
  )
  const own = fieldsOf(all.find((each) => fieldsOf(each)['name'] === container))
  if (fieldsOf(own['state'])['running'] === undefined)
    throw new StatusError(
      'InternalError',
      `unable to upgrade connection: container not found (${JSON.stringify(container)})`,
    )
}
