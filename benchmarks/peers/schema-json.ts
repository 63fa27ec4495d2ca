import { serveLoop } from './schema-loop.js'

await serveLoop({
  schema: {
    type: 'object',
    properties: {
      user: { type: 'string', maxLength: 24 },
      text: { type: 'string', maxLength: 2_000 },
      room: { type: 'string', pattern: '^[a-z0-9-]+$' },
      sequence: { type: 'integer', minimum: 0 },
      urgent: { type: 'boolean' }
    },
    required: ['user', 'text', 'room', 'sequence', 'urgent'],
    additionalProperties: false
  }
})
