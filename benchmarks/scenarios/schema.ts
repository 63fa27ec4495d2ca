import type { ServerProcess } from '../driver/server-process.js'
import { DEFAULT_HOLD_MS, type Finding, type Scenario } from '../scenario.js'

async function measure (server: ServerProcess): Promise<Finding> {
  const { us } = await server.ask('loop')
  return { value: us, counts: { us }, faults: [] }
}

/** What it costs to check a message of five fields: the same loop without a schema, with one of TypeBox, and with a JSON Schema. */
export const schema: Scenario = {
  name: 'schema',
  unit: 'µs CPU per publish',
  bar: { atMostAbove: 0.5, base: 'schema-none' },
  ours: 'schema-typebox',
  transport: 'long-polling',
  servers: ['schema-none', 'schema-typebox', 'schema-json'],
  holdTimeoutMs: DEFAULT_HOLD_MS,
  connections: 0,
  measure
}
