/** What controllers ask the event engine now and then, by its back door (`broker/control.ts`). */
import { request } from 'node:http'

/** What `GET path` answers. Rejects when no engine runs, with what it refuses, and when nobody wants to know any more. */
export const askEngine = <T>(socketPath: string, path: string, signal: AbortSignal): Promise<T> =>
  new Promise((resolve, reject) => {
    const asking = request({ socketPath, path, signal }, (response) => {
      let text = ''
      response.setEncoding('utf8').on('data', (chunk: string) => (text += chunk))
      response.on('error', reject)
      response.on('end', () =>
        response.statusCode === 200
          ? resolve(JSON.parse(text) as T)
          : reject(new Error(`GET ${path}: ${response.statusCode}`)),
      )
    })
    asking.on('error', reject)
    asking.end()
  })
