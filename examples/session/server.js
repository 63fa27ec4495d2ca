import { randomBytes } from 'node:crypto'
import { buildPost } from './app.js'

// Web sessions are in memory, so a secret that ends with the process is as good as any.
const { HOST = '127.0.0.1', PORT = '8080', SECRET = randomBytes(32).toString('hex') } = process.env

const app = await buildPost({ secret: SECRET })

for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => app.close())

console.log(`Post at ${await app.listen({ host: HOST, port: Number(PORT) })}`)
