/** DNS names, by which objects of 2018 say whom they mean: of a Service, with its namespace or without. */
import { invalidValue, missingField, type FieldError } from '../../../knative/field-error.ts'
import { clusterDomain } from '../names.ts'

/** A DNS name as programs in a namespace say it, in full; a port stays. */
export function fullHost(host: string, namespace: string): string {
  const [name = '', port] = host.split(':')
  const full = name.includes('.') ? name : `${name}.${namespace}.svc.${clusterDomain}`
  return port === undefined ? full : `${full}:${port}`
}

/** Complains of what can be no name in the DNS, with or without a port. */
export function* validateHost(host: unknown, path: string): Generator<FieldError> {
  if (host === undefined || host === '') yield missingField(path)
  else if (typeof host !== 'string' || !/^[a-z0-9]([-a-z0-9.]*[a-z0-9])?(:\d{1,5})?$/i.test(host))
    yield invalidValue(JSON.stringify(host), path, 'a DNS name is expected: name.namespace.svc')
}
