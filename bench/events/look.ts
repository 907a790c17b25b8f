/** One look at somebody who takes events in: so many senders, each waits for its answer, for so long. */
import { spawn } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { output } from '../gateway/peers.ts'
import { brokerHost, eventType } from './engine.ts'

export interface Look {
  /** Acknowledged in all. */
  readonly events: number
  readonly eventsPerSecond: number
  readonly p50Ms: number
  readonly p99Ms: number
}

/** Of the data of one event. */
export const dataBytes = 1024

export interface HttpLook {
  readonly port: number
  readonly path: string
  readonly connections: number
  readonly seconds: number
  /** Where wrk's script may lie. */
  readonly folder: string
}

/**
 * By wrk, which costs little on a machine that it shares with what it measures. Percentiles are wrk's own. Throws when
 * anything but success came back.
 */
export async function lookOverHttp(options: HttpLook): Promise<Look> {
  const { port, path, connections, seconds, folder } = options
  const script = join(folder, 'post.lua')
  writeFileSync(script, post(path))
  const url = `http://127.0.0.1:${port}`
  const child = spawn(
    'wrk',
    ['-t1', `-c${connections}`, `-d${seconds}s`, '--timeout', '10s', '-s', script, url],
    { stdio: ['ignore', 'pipe', 'ignore'] },
  )
  return parseDone(await output(child))
}

/** What the script's last line says, with which wrk's own words end. Throws when a request failed. */
export function parseDone(text: string): Look {
  const line = text.trimEnd().split('\n').at(-1) ?? ''
  if (!line.startsWith('{')) throw new Error(`unexpected output of wrk: ${text}`)
  const { failed, micros, ...look } = JSON.parse(line) as Look & {
    readonly failed: number
    readonly micros: number
  }
  if (failed > 0 || look.events === 0)
    throw new Error(`wrk: ${failed} of ${look.events} requests failed`)
  return { ...look, eventsPerSecond: look.events / (micros / 1e6) }
}

/** Lua for wrk: an event in binary mode, each with an id of its own. */
const post = (path: string): string => `
local data = string.rep("x", ${dataBytes})
local before = "POST ${path} HTTP/1.1\\r\\nHost: ${brokerHost}\\r\\n" ..
  "Content-Type: application/octet-stream\\r\\nContent-Length: " .. #data .. "\\r\\n" ..
  "ce-specversion: 1.0\\r\\nce-source: /bench/events\\r\\nce-type: ${eventType}\\r\\nce-id: " .. os.time() .. "-"
local after = "\\r\\n\\r\\n" .. data
local n = 0
request = function()
  n = n + 1
  return before .. n .. after
end
done = function(summary, latency)
  local e = summary.errors
  io.write(string.format('{"events":%d,"micros":%d,"p50Ms":%.3f,"p99Ms":%.3f,"failed":%d}\\n',
    summary.requests, summary.duration, latency:percentile(50) / 1000, latency:percentile(99) / 1000,
    e.connect + e.read + e.write + e.status + e.timeout))
end
`
