import { buildChat } from './app.js'

const { HOST = '127.0.0.1', PORT = '8080', LOG_LEVEL = 'warn' } = process.env

const app = await buildChat({ logger: { level: LOG_LEVEL } })

for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => app.close())

console.log(`The chat is open at ${await app.listen({ host: HOST, port: Number(PORT) })}`)
