import { serveOurs } from './ours.js'

await serveOurs({ extensions: { acknowledgement: true } })
