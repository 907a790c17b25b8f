/** Kinds of source that are built without a Dockerfile. */
export const sourceKinds = ['node', 'python', 'go', 'static'] as const
export type SourceKind = (typeof sourceKinds)[number]
