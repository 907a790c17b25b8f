/**
 * JSON Patch (RFC 6902) by the library `rfc6902`, fenced: a limit on operations, no way to prototypes, and
 * Kubernetes' habits (`replace` of an absent field adds it; any failure is one terse 422).
 */
import { applyPatch } from 'rfc6902'
import type { Operation } from 'rfc6902'
import { StatusError, badRequest } from '../../api/status-error.ts'
import { isRecord } from '../values.ts'

const operationLimit = 10_000
/** Deeper and larger than any real object; `copy` could otherwise double a document with each operation. */
const sizeLimitBytes = 3 * 1024 * 1024

/** `document` with the operations applied, as a new value. Throws BadRequest, Invalid or RequestEntityTooLarge. */
export function jsonPatch(document: unknown, operations: unknown): unknown {
  if (!Array.isArray(operations))
    throw badRequest(
      'error decoding patch: json: cannot unmarshal object into Go value of type jsonpatch.Patch',
    )
  if (operations.length > operationLimit)
    throw new StatusError(
      'RequestEntityTooLarge',
      `The allowed maximum operations in a JSON patch is ${operationLimit}, got ${operations.length}`,
    )
  const root = { document: structuredClone(document) }
  let copied = 0
  for (const each of operations) {
    const operation = parse(each)
    if (operation.op === 'copy') {
      copied += JSON.stringify(at(root.document, operation.from) ?? null).length
      if (copied > sizeLimitBytes) throw rejected()
    }
    apply(root, operation)
  }
  return root.document
}

function apply(root: { document: unknown }, operation: Operation): void {
  // At the root the library can only change a document in place: those operations are answered here.
  if (operation.op === 'replace' || operation.op === 'add') {
    if (operation.path === '') {
      root.document = structuredClone(operation.value)
      return
    }
    const absent = operation.op === 'replace' && at(root.document, operation.path) === undefined
    change(root.document, absent ? { ...operation, op: 'add' } : operation)
    return
  }
  change(root.document, operation)
}

function change(document: unknown, operation: Operation): void {
  // Inside a number there is no place: the library does not look where it steps.
  const parent = at(document, operation.path.slice(0, operation.path.lastIndexOf('/')))
  if (operation.path !== '' && (typeof parent !== 'object' || parent === null)) throw rejected()
  const [error] = applyPatch(document, [operation])
  if (error) throw rejected()
}

const names = new Set(['add', 'remove', 'replace', 'move', 'copy', 'test'])

function parse(each: unknown): Operation {
  if (!isRecord(each)) throw badRequest('error decoding patch: an operation is not an object')
  const { op, path, from, value } = each
  if (typeof op !== 'string' || !names.has(op) || !isPointer(path)) throw rejected()
  if ((op === 'move' || op === 'copy') && !isPointer(from)) throw rejected()
  switch (op) {
    case 'add':
    case 'replace':
    case 'test':
      return { op, path, value: value === undefined ? null : structuredClone(value) }
    case 'remove':
      if (path === '') throw rejected()
      return { op, path }
    case 'move':
    case 'copy':
      // A move into its own child would lose both.
      if (!isPointer(from) || (op === 'move' && path.startsWith(`${from}/`))) throw rejected()
      return { op, path, from }
    default:
      throw rejected()
  }
}

/** Steps that a JSON document never has and that lead to JavaScript's own objects. */
const forbidden = new Set(['__proto__', 'constructor', 'prototype'])

const isPointer = (path: unknown): path is string =>
  typeof path === 'string' &&
  (path === '' || path.startsWith('/')) &&
  !steps(path).some((step) => forbidden.has(step))

const steps = (path: string): string[] =>
  path
    .split('/')
    .slice(1)
    .map((step) => step.replaceAll('~1', '/').replaceAll('~0', '~'))

/** The value at a pointer; undefined when there is none. */
function at(document: unknown, path: string): unknown {
  let value = document
  for (const step of steps(path)) {
    if (Array.isArray(value)) value = /^\d+$/.test(step) ? value[Number(step)] : undefined
    else if (isRecord(value)) value = Object.hasOwn(value, step) ? value[step] : undefined
    else return undefined
  }
  return value
}

const rejected = (): StatusError =>
  new StatusError('Invalid', 'the server rejected our request due to an error in our request')
