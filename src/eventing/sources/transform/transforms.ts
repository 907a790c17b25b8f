/**
 * EventTransforms as they run: an HTTP endpoint a host, whose answer is the result, or what a sink answers to it
 * (knative.dev/eventing `pkg/reconciler/eventtransform`). An event is its structured JSON object to the expression,
 * anything else its JSON or its text.
 */
import type { BufferedAnswer, BufferedRequest } from '../../../lib/http1/buffered-server.ts'
import { refuse } from '../../../lib/http1/refusal.ts'
import { headersOf, hostNameOf } from '../../../lib/http1/head.ts'
import type { Clock } from '../../../lib/clock.ts'
import { CloudEventError } from '../../cloudevents/cloud-event.ts'
import { decodeMessage, modeOf, type Headers } from '../../cloudevents/http-binding.ts'
import { formatJsonEvent } from '../../cloudevents/json-format.ts'
import type { Guard, Guards } from '../../broker/authorization/guard.ts'
import type { TransformConfig } from '../../broker/feed.ts'
import { passThrough } from '../../broker/headers.ts'
import { SendError, type Answer, type Sender } from '../../broker/delivery/sender.ts'
import { EvaluationError, Evaluator } from './evaluator.ts'
import { expressionProblem } from './jail.ts'

export interface TransformsOptions {
  readonly clock: Clock
  readonly sender: Sender
  /** Makes what stands before transforms that do not take events of everybody. */
  readonly guards?: Guards
  /** Of one evaluation, milliseconds. */
  readonly limitMs?: number
  /** Of events and results that are not answered yet. Default 128 MiB. */
  readonly mostHeldBytes?: number
}

/** What events, results and answers of all transforms may take of the memory at a time: a sink that hangs keeps them. */
const defaultMostHeldBytes = 128 << 20

interface Transform {
  readonly config: TransformConfig
  readonly problem: string | undefined
  readonly evaluator: Evaluator
  readonly guard: Guard | undefined
}

export class Transforms implements AsyncDisposable {
  readonly #options: TransformsOptions
  #transforms = new Map<string, Transform>()
  #hosts = new Map<string, Transform>()
  #heldBytes = 0

  constructor(options: TransformsOptions) {
    this.#options = options
  }

  /** From now on exactly these. Answers what can not be used, by uid. */
  async apply(configs: readonly TransformConfig[]): Promise<Readonly<Record<string, string>>> {
    const next = new Map<string, Transform>()
    const problems: Record<string, string> = {}
    for (const config of configs) {
      const { uid, expression, replyExpression = '' } = config
      const before = this.#transforms.get(uid)
      // Reading a long one takes a moment, in which nobody else is served: once is enough.
      const isKnown =
        before?.config.expression === expression &&
        (before.config.replyExpression ?? '') === replyExpression
      const problem = isKnown ? before.problem : await problemOf(expression, replyExpression)
      if (problem !== undefined) problems[uid] = problem
      next.set(uid, {
        config,
        problem,
        evaluator: before?.evaluator ?? new Evaluator(this.#options),
        guard: this.#options.guards?.guard(config.gate),
      })
    }
    const gone = [...this.#transforms].filter(([uid]) => !next.has(uid))
    this.#transforms = next
    this.#hosts = new Map(
      [...next.values()].flatMap((each) => each.config.hosts.map((host) => [host, each] as const)),
    )
    await Promise.all(gone.map(([, { evaluator }]) => evaluator[Symbol.asyncDispose]()))
    return problems
  }

  /** The answer, or undefined when the request is for somebody else. */
  handle({ head, body }: BufferedRequest): Promise<BufferedAnswer> | BufferedAnswer | undefined {
    if (this.#hosts.size === 0) return undefined
    const transform = this.#hosts.get(hostNameOf(head))
    if (!transform) return undefined
    if (head.method === 'GET' && /^\/(healthz|readyz)$/.test(head.target)) return { status: 200 }
    if (head.method !== 'POST')
      return refuse(405, `${head.method} is not possible here: events are sent by POST`)
    const held = this.#holder()
    const taken = async () => {
      held.hold(body.length)
      return await guarded(transform, headersOf(head), body, held, this.#options.sender)
    }
    return taken()
      .catch((error: unknown) => {
        if (error instanceof CloudEventError) return refuse(400, error.message)
        if (error instanceof EvaluationError) return refuse(500, error.message)
        if (error instanceof SendError) return refuse(502, error.message)
        if (error instanceof FullError) return full(error)
        throw error
      })
      .finally(() => held.release())
  }

  /** Of one request. */
  #holder(): Held {
    const { mostHeldBytes = defaultMostHeldBytes } = this.#options
    let own = 0
    return {
      hold: (bytes) => {
        if (this.#heldBytes + bytes > mostHeldBytes) throw new FullError(mostHeldBytes)
        this.#heldBytes += bytes
        own += bytes
      },
      release: () => {
        this.#heldBytes -= own
        own = 0
      },
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.apply([])
  }
}

/** Undefined = both can be read. */
const problemOf = async (expression: string, replyExpression: string) =>
  (await expressionProblem(expression)) ??
  (replyExpression === '' ? undefined : await expressionProblem(replyExpression))

interface Held {
  /** So many bytes more, until the request is answered. Throws FullError. */
  hold(bytes: number): void
  release(): void
}

class FullError extends Error {
  override readonly name = 'FullError'
  constructor(mostBytes: number) {
    super(`transforms have events of ${mostBytes} bytes under way already: try again later`)
  }
}

const full = ({ message }: FullError): BufferedAnswer => {
  const { headers = [], ...rest } = refuse(503, message)
  return { ...rest, headers: [...headers, ['Retry-After', '1']] }
}

async function guarded(
  transform: Transform,
  headers: Headers,
  body: Buffer,
  held: Held,
  sender: Sender,
): Promise<BufferedAnswer> {
  if (transform.guard) {
    const mode = modeOf(headers)
    const events = mode === undefined || mode === 'batched' ? [] : decodeMessage({ headers, body })
    const refusal = await transform.guard(headers, events)
    if (refusal) return refusal
  }
  return await answer(transform, headers, body, held, sender)
}

async function answer(
  { config, problem, evaluator }: Transform,
  headers: Headers,
  body: Buffer,
  held: Held,
  sender: Sender,
): Promise<BufferedAnswer> {
  if (problem !== undefined) throw new EvaluationError(problem)
  const input = inputOf(headers, body)
  const output = await evaluator.evaluate(config.expression, input)
  held.hold(output.length)
  const type = contentTypeOf(output)
  if (!config.sink) return { status: 200, headers: [['Content-Type', type]], body: output }
  const answered = await sender.send(
    config.sink,
    {
      headers: [
        ['content-type', type],
        ...passThrough(headers),
        ...headers.filter(([name]) => name === 'traceparent' || name === 'tracestate'),
        ['kn-namespace', config.namespace],
      ],
      body: Buffer.from(output),
    },
    { redirects: 'returned' },
  )
  held.hold(answered.body.length)
  if (config.discardReply) return { status: answered.status }
  if (config.replyExpression !== undefined && answered.body.length > 0) {
    const reply = await evaluator.evaluate(
      config.replyExpression,
      inputOf(answered.headers, answered.body),
    )
    return {
      status: answered.status,
      headers: [['Content-Type', contentTypeOf(reply)]],
      body: reply,
    }
  }
  return passed(answered)
}

/** What the sink answered, an event in it included. */
const passed = ({ status, headers, body }: Answer): BufferedAnswer => ({
  status,
  headers: headers.filter(([name]) => name === 'content-type' || name.startsWith('ce-')),
  body,
})

/** JSON text. Throws CloudEventError. */
function inputOf(headers: Headers, body: Buffer): string {
  const mode = modeOf(headers)
  if (mode === 'batched')
    throw new CloudEventError('a batch of events can not be transformed: send them one by one')
  if (mode !== undefined) {
    const [event] = decodeMessage({ headers, body })
    if (event) return formatJsonEvent(event).toString('utf8')
  }
  const text = body.toString('utf8')
  try {
    JSON.parse(text)
    return text
  } catch {
    return JSON.stringify(text)
  }
}

function contentTypeOf(output: string): string {
  const members = Object(JSON.parse(output)) as Readonly<Record<string, unknown>>
  const stated = members['contenttype']
  if (typeof stated === 'string' && /^[\x21-\x7E][\x20-\x7E]*$/.test(stated)) return stated
  return 'specversion' in members ? 'application/cloudevents+json' : 'application/json'
}
