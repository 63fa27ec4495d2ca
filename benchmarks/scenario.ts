import type { Transport } from './driver/message.js'
import type { ServerProcess } from './driver/server-process.js'

/** The server programs in `benchmarks/peers/`, in the order of the table's columns. */
export const SERVERS = ['fastify-cometd', 'fastify-cometd-ack', 'cometd-nodejs-server', 'faye', 'socket.io', 'bare', 'bare-ack', 'schema-none', 'schema-typebox', 'schema-json'] as const
export type ServerName = typeof SERVERS[number]

export const OURS: ServerName = 'fastify-cometd'

export const SPEAKERS: Record<Transport, readonly ServerName[]> = {
  'long-polling': ['fastify-cometd', 'cometd-nodejs-server', 'faye', 'bare'],
  websocket: ['fastify-cometd', 'faye', 'socket.io', 'bare']
}

/** The peer that the bars are set against. */
export const RIVALS: Record<Transport, ServerName> = {
  'long-polling': 'cometd-nodejs-server',
  websocket: 'socket.io'
}

export interface Settings {
  /** How long the load is measured, where load is what is measured (s). */
  seconds: number
}

/** What one run of a scenario found. */
export interface Finding {
  /** The figure of the table, in the scenario's unit. */
  value: number
  /** The raw counts that it comes from; units in their names. */
  counts: Record<string, number>
  /** What was lost, repeated or refused, in words. A run with a fault is a failed run. */
  faults: string[]
}

/** What is asked for: our figure at most so much of the rival's, at most so much, or at most so much above another server's. */
export type Bar = { ratioToRival: number } | { atMost: number } | { atMostAbove: number, base: ServerName }

export interface Scenario {
  name: string
  /** By which several scenarios are asked for together. */
  group?: string
  unit: string
  bar?: Bar
  /** Whose figure is held against the bar. Default: that of `OURS`. */
  ours?: ServerName
  transport: Transport
  servers: readonly ServerName[]
  /** How long the servers hold a connect (ms): long, where nothing may be renewed while it is measured. */
  holdTimeoutMs: number
  /** How many channels the server has declared. */
  declare?: number
  /** Connections that are open at a time, on either side. */
  connections: number
  measure: (server: ServerProcess, settings: Settings) => Promise<Finding>
}

/** A server's default: long enough for load, where connects are answered by events. */
export const DEFAULT_HOLD_MS = 30_000
/** Longer than any run. */
export const ENDLESS_HOLD_MS = 300_000
/** Time for code to be compiled before load is measured. */
export const WARM_UP_MS = 1_500

/** Enough of an event to be sure of: 100 bytes of JSON with a sequence number. */
export function payload (sequence: number): { sequence: number, text: string } {
  const PAYLOAD_BYTES = 100
  const empty = JSON.stringify({ sequence, text: '' })
  return { sequence, text: 'x'.repeat(PAYLOAD_BYTES - empty.length) }
}
