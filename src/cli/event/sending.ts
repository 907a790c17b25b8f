/** `ebb event send`: one event to a Broker, a channel, or any URL; says who took it. */
import { randomUUID } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { request as httpRequest } from 'node:http'
import { request as httpsRequest } from 'node:https'
import { isIP } from 'node:net'
import { buffer, text } from 'node:stream/consumers'
import { rootCertificates } from 'node:tls'
import { encodeHeader } from '../../eventing/cloudevents/header-value.ts'
import { UsageError, type Arguments, type Output } from '../command.ts'
import { plain } from './text.ts'

export interface Post {
  readonly url: string
  /** Where to connect to instead of the URL's host. */
  readonly dial?: { readonly host: string; readonly port: number }
  /** PEM of an authority that is trusted besides the usual ones. */
  readonly ca?: string
  /** Who sends, where it is asked. */
  readonly token?: string
  /** Answers 202 when the event is on its disk, as Brokers and channels do. */
  readonly keeps?: boolean
  /** What to do about 401. */
  readonly whenAsked?: string
}

/** What is said by other flags, or by none. */
const own = new Set(['id', 'type', 'source', 'subject', 'specversion', 'data', 'datacontenttype'])

/** Throws an Error with what the receiver said unless it took the event. */
export async function sendEvent(args: Arguments, to: Post, out: Output): Promise<void> {
  const data = await dataOf(args.string('data'))
  const id = args.string('id') ?? randomUUID()
  const contentType = args.string('content-type') ?? (data && guess(data))
  const attributes: Record<string, string> = {
    id,
    type: args.string('type') ?? 'dev.ebb.event',
    source: args.string('source') ?? '/ebb/event/send',
    specversion: '1.0',
  }
  const subject = args.string('subject')
  if (subject !== undefined) attributes['subject'] = subject
  for (const each of args.strings('ext')) {
    const [, name, value] = /^([a-z0-9]+)=(.*)$/s.exec(each) ?? []
    if (name === undefined || value === undefined)
      throw new UsageError(
        `--ext: expected NAME=VALUE with a name of letters a to z and digits, found "${each}"`,
      )
    if (own.has(name))
      throw new UsageError(
        `--ext: expected a further attribute, found "${each}"; there are --id, --type, --source, --subject and --data`,
      )
    attributes[name] = value
  }
  const headers = Object.entries(attributes).map(
    ([name, value]) => [`ce-${name}`, encodeHeader(value)] as const,
  )
  const { status, type, body } = await post(to, data, {
    ...Object.fromEntries(headers),
    ...(contentType && { 'content-type': contentType }),
    ...(to.token !== undefined && { authorization: `Bearer ${to.token}` }),
  })
  if (status < 200 || status >= 300)
    throw new Error(
      [
        `${to.url} answered ${status}`,
        ...(body === '' ? [] : [body.trim()]),
        ...(status === 401 && to.whenAsked !== undefined ? [to.whenAsked] : []),
      ].join(': '),
    )
  out.print(id)
  if (to.keeps && status === 202) return out.note(`${to.url} has it (202): it is on disk`)
  // As a RequestReply does, or a subscriber that is asked itself.
  const answer = type === undefined ? '' : ` with an event of type ${plain(type)}`
  out.note(`${to.url} answered ${status}${answer}${body === '' ? '' : ':'}`)
  if (body !== '') for (const line of shortened(body)) out.note(plain(line))
}

async function dataOf(given: string | undefined): Promise<Buffer | undefined> {
  if (given === undefined) return undefined
  if (!given.startsWith('@')) return Buffer.from(given)
  // Not by its path, which can't be opened where it is a socket.
  const reading = given === '@-' ? buffer(process.stdin) : readFile(given.slice(1))
  return await reading.catch((error: unknown) => {
    throw new Error(
      `--data ${given} can not be read: ${error instanceof Error ? error.message : 'unknown'}`,
      { cause: error },
    )
  })
}

function guess(data: Buffer): string {
  try {
    JSON.parse(data.toString('utf8'))
    return 'application/json'
  } catch {
    return 'text/plain'
  }
}

const shownCharacters = 4000

function shortened(body: string): readonly string[] {
  const lines = body.slice(0, shownCharacters).trimEnd().split('\n')
  return body.length > shownCharacters ? [...lines, `… of ${body.length} characters`] : lines
}

/** What --to says. Throws UsageError. */
export function httpUrl(text: string): URL {
  const url = URL.parse(text)
  if (url?.protocol === 'http:' || url?.protocol === 'https:') return url
  throw new UsageError(`--to: expected a URL, as http://localhost:8080/, found "${text}"`)
}

const answerMs = 60_000

function post(
  { url, dial, ca }: Post,
  data: Buffer | undefined,
  headers: Readonly<Record<string, string>>,
): Promise<{
  readonly status: number
  /** Of the event that is the answer. */
  readonly type: string | undefined
  readonly body: string
}> {
  const target = httpUrl(url)
  const hostname = target.hostname.replace(/^\[|\]$/g, '')
  return new Promise((resolve, reject) => {
    const sending = (target.protocol === 'https:' ? httpsRequest : httpRequest)({
      host: dial?.host ?? hostname,
      port: dial?.port ?? (target.port || (target.protocol === 'https:' ? 443 : 80)),
      method: 'POST',
      path: `${target.pathname}${target.search}`,
      agent: false,
      timeout: answerMs,
      // By the URL's name, whoever is dialled for it.
      servername: isIP(hostname) === 0 ? hostname : '',
      ...(ca !== undefined && { ca: [...rootCertificates, ca] }),
      headers: { ...headers, host: target.host, 'content-length': data?.length ?? 0 },
    })
    sending.on('timeout', () => sending.destroy(new Error(`no answer in ${answerMs / 1000} s`)))
    sending.on('error', (error) => reject(new Error(`${url} is not reached: ${error.message}`)))
    sending.on('response', (answer) => {
      const { statusCode: status = 0, headers: heard } = answer
      const type = [heard['ce-type']].flat()[0]
      text(answer).then((body) => resolve({ status, type, body }), reject)
    })
    sending.end(data)
  })
}
