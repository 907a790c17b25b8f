// Stand-in for knative-sample/autoscale-go: sleeps, computes primes and allocates as asked (book 08, app.md).
import { createServer } from 'node:http'

function largestPrime(below) {
  const composite = new Uint8Array(below + 1)
  let largest = 0
  for (let n = 2; n <= below; n++) {
    if (composite[n]) continue
    largest = n
    for (let multiple = n * n; multiple <= below; multiple += n) composite[multiple] = 1
  }
  return largest
}

const parameter = (query, name) => {
  const text = query.get(name)
  if (text === null || text === '') return 0
  if (!/^-?\d+$/.test(text)) throw new Error(`parsing "${text}": invalid syntax`)
  return Number(text)
}

createServer((request, response) => {
  const { searchParams, pathname } = new URL(request.url, 'http://app')
  if (process.env.VALIDATION && pathname === `/${process.env.VALIDATION}/`)
    return response.end(process.env.VALIDATION)
  let sleep, prime, bloat
  try {
    sleep = parameter(searchParams, 'sleep')
    prime = parameter(searchParams, 'prime')
    bloat = parameter(searchParams, 'bloat')
  } catch (error) {
    response.statusCode = 400
    return response.end(`${error.message}\n`)
  }
  const lines = []
  if (prime > 0) {
    const found = largestPrime(prime)
    lines.push(
      found
        ? `The largest prime less than ${prime} is ${found}.`
        : `There are no primes smaller than ${prime}.`,
    )
  }
  if (bloat > 0) {
    const block = Buffer.alloc(bloat << 20)
    block[0] = block[block.length - 1] = 1
    lines.push(`Allocated ${bloat} Mb of memory.`)
  }
  const start = performance.now()
  const finish = () => {
    if (sleep > 0) lines.push(`Slept for ${(performance.now() - start).toFixed(2)} milliseconds.`)
    response.end(lines.map((line) => `${line}\n`).join(''))
  }
  if (sleep > 0) setTimeout(finish, sleep)
  else finish()
}).listen(Number(process.env.PORT || 8080))
