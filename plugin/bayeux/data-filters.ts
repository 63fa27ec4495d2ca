import { type Awaitable, andThen, everyInTurn } from './awaitable.js'
import type { ServerChannel } from './channel.js'
import { now } from './guests.js'
import type { ServerMessage } from './message.js'
import type { ServerSession } from './session.js'

/**
 * Gives the data of a message as they go on. `undefined` deletes the message. The data must not be changed in place: they may
 * be the publisher's own.
 */
export type DataFilter = (data: unknown, session: ServerSession | null, channel: ServerChannel, message: ServerMessage) => Awaitable<unknown>

/** A listener of 'message' that has the data of each message pass the filters, one after the other. */
export function filterData (...filters: DataFilter[]): (session: ServerSession | null, channel: ServerChannel, message: ServerMessage) => Awaitable<boolean> {
  return (session, channel, message) => everyInTurn(filters, filter => andThen(filter(message.data, session, channel, message), data => {
    if (data === undefined) return false
    message.data = data
    return true
  }))
}

/** Makes text of markup: `<` and `>` become entities, in all strings of the data. */
export const noMarkup: DataFilter = filterStrings(text => text.replace(/</g, '&lt;').replace(/>/g, '&gt;'))

/** Takes `script` elements and their content out of all strings of the data. It is no sanitiser: use `noMarkup` where no markup is wanted. */
export const noScripts: DataFilter = filterStrings(text => text.replace(/<\s*script\b[^]*?(?:<\s*\/\s*script\s*>|$)/gi, ''))

/** Replaces what matches `pattern` in all strings of the data; with `null` a message in which something matches is deleted. */
export function replacePattern (pattern: RegExp, replacement: string | null): DataFilter {
  const everywhere = new RegExp(pattern, pattern.flags.includes('g') ? pattern.flags : `${pattern.flags}g`)
  if (replacement !== null) return filterStrings(text => text.replace(everywhere, replacement))
  return filterStrings(text => text.search(everywhere) === -1 ? text : undefined)
}

/** A filter that has every string of the data, at any depth, pass `change`; `undefined` deletes the message. */
export function filterStrings (change: (text: string) => string | undefined): DataFilter {
  const pass = (value: unknown): unknown => {
    if (typeof value === 'string') return now('the function of filterStrings', change(value))
    if (Array.isArray(value)) {
      const items = value.map(pass)
      return items.some((item, i) => item === undefined && value[i] !== undefined) ? undefined : items
    }
    if (!isPlainObject(value)) return value
    const entries = Object.entries(value).map(([name, item]) => [name, pass(item), item] as const)
    // fromEntries defines names, whatever they are.
    return entries.some(([, left, item]) => left === undefined && item !== undefined) ? undefined : Object.fromEntries(entries)
  }
  return pass
}

function isPlainObject (value: unknown): value is Record<string, unknown> {
  if (typeof value !== 'object' || value === null) return false
  const prototype = Object.getPrototypeOf(value)
  return prototype === Object.prototype || prototype === null
}
