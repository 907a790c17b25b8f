/** Lists of the embedded registry, page by page (distribution-spec 1.1, "Listing Tags"; the catalog as distribution has it). */
import type { ContentStore } from '../image/content-store.ts'
import { parseReference } from '../image/reference.ts'
import { answerJson, Refusal } from './answers.ts'
import { aliases, namesOf, type Call } from './call.ts'

const maxPage = 1000

export async function tags(call: Call, store: ContentStore): Promise<void> {
  const { registry, repository } = call
  const names = await namesOf(call, store)
  if (names.length === 0)
    throw new Refusal(404, 'NAME_UNKNOWN', `${registry}/${repository} has nothing here`)
  const found = names.flatMap(({ reference }) => parseReference(reference).tag ?? [])
  page(call, [...new Set(found)], (list) => ({ name: repository, tags: list }))
}

export async function catalog(call: Call, store: ContentStore): Promise<void> {
  const hosts = aliases(call.registry)
  const found = (await store.list()).flatMap(({ reference }) => {
    const name = parseReference(reference)
    return hosts.includes(name.registry) ? [name.repository] : []
  })
  page(call, [...new Set(found)], (repositories) => ({ repositories }))
}

/** `?n=` and `?last=`, with a link to the rest; sorted by bytes. */
function page(
  { request, response, query }: Call,
  all: readonly string[],
  shape: (list: readonly string[]) => unknown,
): void {
  const last = query.get('last') ?? ''
  const wanted = query.get('n')
  if (wanted !== null && !/^\d{1,9}$/.test(wanted))
    throw new Refusal(400, 'UNSUPPORTED', `n: expected a number, found "${wanted.slice(0, 20)}"`)
  const size = Math.min(wanted === null ? maxPage : Number(wanted), maxPage)
  const rest = all.toSorted((a, b) => (a < b ? -1 : 1)).filter((item) => item > last)
  const list = rest.slice(0, size)
  const path = (request.url ?? '').split('?')[0] ?? ''
  const next = `<${path}?n=${size}&last=${encodeURIComponent(list.at(-1) ?? '')}>; rel="next"`
  const more = list.length > 0 && list.length < rest.length
  answerJson(response, 200, shape(list), more ? { link: next } : {})
}
