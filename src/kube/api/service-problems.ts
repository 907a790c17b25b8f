/** What must hold of a Service, in Kubernetes' words. */
import type { Service } from './service.ts'
import {
  duplicate,
  fieldPrefix,
  isIp,
  labelProblem,
  notSupported,
  portNumberProblem,
  portProblem,
  required,
  subdomainProblem,
  wrong,
  type Complaints,
} from './validation.ts'

const types = ['ClusterIP', 'ExternalName', 'LoadBalancer', 'NodePort']
const protocols = ['SCTP', 'TCP', 'UDP']

/** All complaints about a defaulted Service. */
export const serviceProblems = ({ spec }: Service): Complaints =>
  fieldPrefix('spec', specProblems(spec))

function* specProblems(spec: Service['spec']): Complaints {
  const { type = 'ClusterIP', ports = [], clusterIP } = spec
  if (!types.includes(type)) yield notSupported('type', type, types)
  if (type === 'ExternalName') {
    const name = (spec.externalName ?? '').replace(/\.$/, '')
    const problem = name ? subdomainProblem(name) : undefined
    if (!name) yield required('externalName')
    else if (problem) yield wrong('externalName', spec.externalName, problem)
    if (clusterIP && clusterIP !== 'None')
      yield wrong('clusterIPs[0]', clusterIP, "may not be set when `type` is 'ExternalName'")
  } else {
    if (ports.length === 0 && clusterIP !== 'None') yield required('ports')
    if (clusterIP && clusterIP !== 'None' && !isIp(clusterIP))
      yield wrong(
        'clusterIPs[0]',
        clusterIP,
        'must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)',
      )
    if (clusterIP === 'None' && (type === 'NodePort' || type === 'LoadBalancer'))
      yield wrong('clusterIPs[0]', clusterIP, `may not be set to 'None' for ${type} services`)
  }
  yield* portsProblems(ports)
  for (const [i, ip] of (spec.externalIPs ?? []).entries())
    if (!isIp(ip))
      yield wrong(
        `externalIPs[${i}]`,
        ip,
        'must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)',
      )
  if (spec.sessionAffinity && !['ClientIP', 'None'].includes(spec.sessionAffinity))
    yield notSupported('sessionAffinity', spec.sessionAffinity, ['ClientIP', 'None'])
}

function* portsProblems(ports: NonNullable<Service['spec']['ports']>): Complaints {
  const names = new Set<string>()
  const numbers = new Set<string>()
  for (const [i, { name, port, protocol = 'TCP', targetPort, nodePort }] of ports.entries()) {
    const at = `ports[${i}]`
    if (!name) {
      if (ports.length > 1) yield required(`${at}.name`)
    } else {
      const problem = labelProblem(name)
      if (problem) yield wrong(`${at}.name`, name, problem)
      else if (names.has(name)) yield duplicate(`${at}.name`, name)
      names.add(name)
    }
    const problem = portNumberProblem(port)
    if (problem) yield wrong(`${at}.port`, port ?? 0, problem)
    if (!protocols.includes(protocol)) yield notSupported(`${at}.protocol`, protocol, protocols)
    const target = targetPort === undefined ? undefined : portProblem(targetPort)
    if (target) yield wrong(`${at}.targetPort`, targetPort, target)
    if (nodePort && portNumberProblem(nodePort))
      yield wrong(`${at}.nodePort`, nodePort, portNumberProblem(nodePort) ?? '')
    const key = `${protocol}/${port}`
    if (numbers.has(key)) yield duplicate(at, { port, protocol })
    numbers.add(key)
  }
}
