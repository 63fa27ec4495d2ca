import type { Surroundings } from './asyncapi.js'
import type { TimeSource } from './clock.js'
import type { CompileSchema } from './declaration.js'

/** The part of a logger (pino, Fastify's) that the server uses. */
export interface Log {
  error (details: object, text: string): void
  warn (details: object, text: string): void
  info (details: object, text: string): void
  debug (details: object, text: string): void
}

/** Everything the server needs from outside. */
export interface Environment {
  time: TimeSource
  log: Log
  /** Milliseconds since 1970. */
  date (): number
  compileSchema: CompileSchema
  /** What the server is part of, for its AsyncAPI document. */
  surroundings (): Surroundings
  /** Whether the application is being developed: then more is checked. */
  development: boolean
  /** What rules are called on. */
  application: unknown
  /** A new unguessable id of alphanumeric characters, at least 128 bits strong (B22). */
  newId (): string
  /** A number from 0 up to but not including 1. */
  random (): number
  /** Runs `code` later in this turn of the event loop. */
  defer (code: () => void): void
}
