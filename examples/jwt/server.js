import { randomBytes } from 'node:crypto'
import { buildNews } from './app.js'

// Without a secret there is a new one with every start, and tokens end with the process.
const { HOST = '127.0.0.1', PORT = '8080', SECRET = randomBytes(32).toString('hex') } = process.env

const app = await buildNews({ secret: SECRET })

for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => app.close())

console.log(`News at ${await app.listen({ host: HOST, port: Number(PORT) })}`)
