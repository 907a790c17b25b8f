/**
 * The one error of the API: a Kubernetes Status with a reason, as clients read it (metav1.Status). Thrown
 * anywhere, made into a response at the edge; whatever else reaches the edge becomes `InternalError`.
 */
export interface StatusCause {
  readonly reason?: string
  readonly message?: string
  readonly field?: string
}

export interface StatusDetails {
  readonly name?: string
  readonly group?: string
  readonly kind?: string
  readonly uid?: string
  readonly causes?: readonly StatusCause[]
  readonly retryAfterSeconds?: number
}

/** metav1.Status. */
export interface Status {
  readonly kind: 'Status'
  readonly apiVersion: 'v1'
  readonly metadata: Readonly<Record<string, unknown>>
  readonly status: 'Success' | 'Failure'
  readonly message?: string
  readonly reason?: string
  readonly details?: StatusDetails
  readonly code?: number
}

const codes = {
  BadRequest: 400,
  Unauthorized: 401,
  Forbidden: 403,
  NotFound: 404,
  MethodNotAllowed: 405,
  NotAcceptable: 406,
  AlreadyExists: 409,
  Conflict: 409,
  Gone: 410,
  Expired: 410,
  RequestEntityTooLarge: 413,
  UnsupportedMediaType: 415,
  Invalid: 422,
  TooManyRequests: 429,
  InternalError: 500,
  ServiceUnavailable: 503,
  Timeout: 504,
} as const

/** Kubernetes' reasons, each with the HTTP code it is sent with. */
export type StatusReason = keyof typeof codes

export class StatusError extends Error {
  override readonly name = 'StatusError'
  readonly reason: StatusReason
  readonly code: number
  readonly details: StatusDetails
  /** Of a list that can go on another way: its new `continue` token. */
  readonly metadata: Readonly<Record<string, unknown>>

  constructor(
    reason: StatusReason,
    message: string,
    details: StatusDetails = {},
    options: {
      cause?: unknown
      code?: number
      metadata?: Readonly<Record<string, unknown>>
    } = {},
  ) {
    super(message, options)
    this.reason = reason
    this.code = options.code ?? codes[reason]
    this.details = details
    this.metadata = options.metadata ?? {}
  }

  /** The body that is sent to clients. */
  toStatus(): Status {
    return {
      kind: 'Status',
      apiVersion: 'v1',
      metadata: this.metadata,
      status: 'Failure',
      message: this.message,
      reason: this.reason,
      details: this.details,
      code: this.code,
    }
  }

  /** Any thrown thing as a StatusError; what is not one becomes InternalError, the cause kept for the log. */
  static from(thrown: unknown): StatusError {
    if (thrown instanceof StatusError) return thrown
    const text = thrown instanceof Error ? thrown.message : String(thrown)
    return new StatusError(
      'InternalError',
      `Internal error occurred: ${text}`,
      {},
      { cause: thrown },
    )
  }

  /** The error that a Status from another API server stands for. */
  static fromStatus(status: Partial<Status>, httpCode: number): StatusError {
    const reason = (status.reason ?? reasonOf(httpCode)) as StatusReason
    return new StatusError(
      reason in codes ? reason : 'InternalError',
      status.message ?? `the server answered ${httpCode}`,
      status.details ?? {},
      { code: status.code ?? httpCode },
    )
  }
}

function reasonOf(httpCode: number): StatusReason {
  for (const [reason, code] of Object.entries(codes)) {
    if (code === httpCode) return reason as StatusReason
  }
  return 'InternalError'
}

/** True when `thrown` is a StatusError with one of `reasons`. */
export const hasReason = (thrown: unknown, ...reasons: StatusReason[]): boolean =>
  thrown instanceof StatusError && reasons.includes(thrown.reason)

/** `services.serving.knative.dev`, or `pods` for the core group: how messages name a resource. */
export const qualifiedResource = (kind: { group: string; plural: string }): string =>
  kind.group ? `${kind.plural}.${kind.group}` : kind.plural

interface Named {
  readonly group: string
  readonly plural: string
  readonly kind: string
}

const resourceDetails = (kind: Named, name: string): StatusDetails => ({
  name,
  ...(kind.group && { group: kind.group }),
  kind: kind.plural,
})

/** 404: `<plural>.<group> "<name>" not found`. */
export const notFound = (kind: Named, name: string): StatusError =>
  new StatusError(
    'NotFound',
    `${qualifiedResource(kind)} "${name}" not found`,
    resourceDetails(kind, name),
  )

/** 409: `<plural>.<group> "<name>" already exists`. */
export const alreadyExists = (kind: Named, name: string): StatusError =>
  new StatusError(
    'AlreadyExists',
    `${qualifiedResource(kind)} "${name}" already exists`,
    resourceDetails(kind, name),
  )

/** 409: the optimistic lock failed. */
export const conflict = (
  kind: Named,
  name: string,
  why = 'the object has been modified; please apply your changes to the latest version and try again',
): StatusError =>
  new StatusError(
    'Conflict',
    `Operation cannot be fulfilled on ${qualifiedResource(kind)} "${name}": ${why}`,
    resourceDetails(kind, name),
  )

/** 403: `<plural>.<group> "<name>" is forbidden: <why>`. */
export const forbidden = (kind: Named, name: string, why: string): StatusError =>
  new StatusError(
    'Forbidden',
    `${qualifiedResource(kind)} "${name}" is forbidden: ${why}`,
    resourceDetails(kind, name),
  )

/** 400 with a message of its own. */
export const badRequest = (message: string): StatusError => new StatusError('BadRequest', message)

/** One complaint of a validator: `field` is the path from the object's root, `detail` Kubernetes' text for it. */
export interface FieldCause {
  /** FieldValueInvalid, FieldValueRequired, FieldValueNotSupported, FieldValueForbidden, FieldValueDuplicate… */
  readonly reason: string
  readonly field: string
  readonly detail: string
}

/** 422: `<Kind>.<group> "<name>" is invalid: <field>: <detail>`, several in brackets. */
export function invalid(kind: Named, name: string, causes: readonly FieldCause[]): StatusError {
  const texts = causes.map(({ field, detail }) => `${field}: ${detail}`)
  const text = texts.length === 1 ? texts[0] : `[${texts.join(', ')}]`
  const qualified = kind.group ? `${kind.kind}.${kind.group}` : kind.kind
  return new StatusError('Invalid', `${qualified} "${name}" is invalid: ${text}`, {
    name,
    ...(kind.group && { group: kind.group }),
    kind: kind.kind,
    causes: causes.map(({ reason, field, detail }) => ({ reason, message: detail, field })),
  })
}
