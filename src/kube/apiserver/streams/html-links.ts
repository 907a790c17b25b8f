/** Links of a page that a proxied program sends, turned so that they lead through the proxy again. */
import type { IncomingHttpHeaders } from 'node:http'
import { Transform } from 'node:stream'
import { createGunzip, createGzip, createInflate, createDeflate } from 'node:zlib'

/** A tag is held until it is complete, up to this length. */
const maxTagBytes = 64 << 10
const attributes =
  /(\s(?:action|background|cite|classid|codebase|data|formaction|href|icon|longdesc|manifest|poster|profile|src|usemap)\s*=\s*["']?)(\/(?!\/)|https?:\/\/[^/"'\s>]+)/gi

/** What the body passes through; nothing when it is no page, or packed in a way that is not understood. */
export function rewriteHtml(
  headers: IncomingHttpHeaders,
  prefix: string,
  host: string,
): readonly Transform[] {
  if (!/^text\/html\b/i.test(headers['content-type'] ?? '')) return []
  const links = linkTurner(prefix, host)
  switch (headers['content-encoding']?.toLowerCase() ?? '') {
    case '':
    case 'identity':
      return [links]
    case 'gzip':
      return [createGunzip(), links, createGzip()]
    case 'deflate':
      return [createInflate(), links, createDeflate()]
    default:
      return []
  }
}

/** Bytes stay what they are: only ASCII is looked at. */
function linkTurner(prefix: string, host: string): Transform {
  let rest = ''
  const turn = (text: string): string =>
    text.replaceAll(/<[a-z][^<>]*>/gi, (tag) =>
      tag.replaceAll(attributes, (whole, before: string, begin: string) => {
        if (begin === '/') return `${before}${prefix}/`
        return begin.replace(/^https?:\/\//i, '') === host ? `${before}${prefix}` : whole
      }),
    )
  return new Transform({
    transform(chunk: Buffer, _, done) {
      const text = rest + chunk.toString('latin1')
      const open = text.lastIndexOf('<')
      const cut =
        open > text.lastIndexOf('>') && text.length - open < maxTagBytes ? open : text.length
      rest = text.slice(cut)
      done(null, Buffer.from(turn(text.slice(0, cut)), 'latin1'))
    },
    flush(done) {
      done(null, Buffer.from(turn(rest), 'latin1'))
    },
  })
}
