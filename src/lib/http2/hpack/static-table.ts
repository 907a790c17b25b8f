/** The fields that both sides of HPACK know from the start (RFC 7541 appendix A), numbered from 1. */
import { kindOfName } from './kinds.ts'

/** A field in a table. */
export interface TableEntry {
  readonly name: string
  readonly value: string
  /** See `kinds.ts`. */
  readonly kind: number
}

const text = `:authority
:method GET
:method POST
:path /
:path /index.html
:scheme http
:scheme https
:status 200
:status 204
:status 206
:status 304
:status 400
:status 404
:status 500
accept-charset
accept-encoding gzip, deflate
accept-language
accept-ranges
accept
access-control-allow-origin
age
allow
authorization
cache-control
content-disposition
content-encoding
content-language
content-length
content-location
content-range
content-type
cookie
date
etag
expect
expires
from
host
if-match
if-modified-since
if-none-match
if-range
if-unmodified-since
last-modified
link
location
max-forwards
proxy-authenticate
proxy-authorization
range
referer
refresh
retry-after
server
set-cookie
strict-transport-security
transfer-encoding
user-agent
vary
via
www-authenticate`

const nobody: TableEntry = { name: '', value: '', kind: 0 }

export const staticTable: readonly TableEntry[] = [
  nobody,
  ...text.split('\n').map((line): TableEntry => {
    const blank = line.indexOf(' ')
    const name = blank < 0 ? line : line.slice(0, blank)
    return { name, value: blank < 0 ? '' : line.slice(blank + 1), kind: kindOfName(name) }
  }),
]

/** How many there are; the next number is the newest of the dynamic table. */
export const staticCount = staticTable.length - 1
