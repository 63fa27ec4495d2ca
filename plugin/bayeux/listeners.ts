import { errors } from '../errors.js'

// The map of a kind of object's events gives each event's listener.
type EventMap<Events> = { [Event in keyof Events]: (...args: never[]) => unknown }

const NONE: readonly never[] = Object.freeze([])

/** The listeners of one object, by event. A list is replaced, never changed, so it can be walked while listeners come and go. */
export class Listeners<Events extends EventMap<Events>> {
  readonly #events: readonly (keyof Events & string)[]
  #lists: Map<string, readonly unknown[]> | undefined

  constructor (events: readonly (keyof Events & string)[]) {
    this.#events = events
  }

  get empty (): boolean {
    return this.#lists === undefined || this.#lists.size === 0
  }

  /** The listeners of `event`, in the order in which they were added. */
  of<Event extends keyof Events & string> (event: Event): ReadonlyArray<Events[Event]> {
    return (this.#lists?.get(event) ?? NONE) as ReadonlyArray<Events[Event]>
  }

  add<Event extends keyof Events & string> (event: Event, listener: Events[Event]): void {
    if (!this.#events.includes(event)) throw new errors.COMETD_ERR_EVENT_UNKNOWN(event, this.#events.join(', '))
    if (typeof listener !== 'function') throw new errors.COMETD_ERR_HANDLER_INVALID(`the listener of '${event}'`, 'a function')
    this.#lists ??= new Map()
    this.#lists.set(event, [...this.of(event), listener])
  }

  /** Removes `listener` once. Gives whether it was there. */
  remove<Event extends keyof Events & string> (event: Event, listener: Events[Event]): boolean {
    const list = this.of(event)
    const index = list.indexOf(listener)
    if (index === -1) return false
    if (list.length === 1) this.#lists?.delete(event)
    else this.#lists?.set(event, list.toSpliced(index, 1))
    return true
  }
}
