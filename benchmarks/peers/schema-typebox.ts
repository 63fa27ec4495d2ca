import { Type } from '@sinclair/typebox'
import { serveLoop } from './schema-loop.js'

await serveLoop({
  schema: Type.Object({
    user: Type.String({ maxLength: 24 }),
    text: Type.String({ maxLength: 2_000 }),
    room: Type.String({ pattern: '^[a-z0-9-]+$' }),
    sequence: Type.Integer({ minimum: 0 }),
    urgent: Type.Boolean()
  }, { additionalProperties: false })
})
