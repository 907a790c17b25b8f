/** The annotation knative.dev/dependency: a source that a Trigger waits for (contract eventing §2.2). */

export interface DependencyReference {
  readonly apiVersion: string
  readonly kind: string
  readonly name: string
}

export interface Dependency {
  readonly status: 'True' | 'Unknown'
  readonly reason: string
  readonly message: string
}

/** Undefined = there is none. Admission has seen that it can be read. */
export function dependencyOf(text: string | undefined): DependencyReference | undefined {
  if (text === undefined) return undefined
  try {
    return JSON.parse(text) as DependencyReference
  } catch {
    return undefined
  }
}

export function dependencyState(reference: DependencyReference | undefined): Dependency {
  if (!reference) return { status: 'True', reason: '', message: '' }
  return {
    status: 'Unknown',
    reason: 'ListerDoesNotExist',
    message: `Failed to retrieve lister: objects of kind ${reference.kind} (${reference.apiVersion}) are not followed here`,
  }
}
