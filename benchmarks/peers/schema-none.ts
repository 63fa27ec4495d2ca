import { serveLoop } from './schema-loop.js'

await serveLoop({})
