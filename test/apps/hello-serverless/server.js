// The changed sample of book 03: always the same greeting.
import { createServer } from 'node:http'

createServer((_request, response) => response.end('Hello Serverless!\n')).listen(
  Number(process.env.PORT || 8080),
)
