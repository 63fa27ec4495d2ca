import type { EventEmitter } from 'node:events'
import type { IncomingMessage } from 'node:http'
import type { Socket } from 'node:net'

// Others may share the HTTP server: a proxy, another WebSocket server, clients that would like HTTP/2. Node has one event for all
// requests that ask for an upgrade. If nobody listens to it, it serves such a request like any other. As soon as somebody does,
// it upgrades every one, to whatever protocol, and every listener gets every one.
//
// So ours are kept from the other listeners, and Node is told which requests to upgrade: it does with the others what it would do
// if we were not there.

/** The upgrade requests that belong to one of those who share an HTTP server. */
export interface Claim {
  /** Whether the URL of a request is one of theirs. */
  covers: (request: IncomingMessage) => boolean
  /** Gets their `upgrade` events, in place of the server. */
  emitter: EventEmitter
}

// Node asks this function, in releases from 22.21 and 24.9 on.
type UpgradingServer = EventEmitter & { shouldUpgradeCallback?: (this: EventEmitter, request: IncomingMessage) => boolean }
type Undo = () => void
// Of Node, which sets it when a connection begins.
type Parser = { onIncoming: (request: IncomingMessage, keepAlive: boolean) => number }

/** Whether a request asks for a WebSocket. What ws would refuse anyway does not. */
export function asksForWebSocket ({ method, headers }: IncomingMessage): boolean {
  return method === 'GET' && headers.upgrade?.toLowerCase() === 'websocket'
}

const doors = new WeakMap<EventEmitter, Door>()

/** The door of an HTTP server. */
export function doorOf (server: EventEmitter): Door {
  const door = doors.get(server) ?? new Door(server)
  doors.set(server, door)
  return door
}

/** Where the upgrade requests of one HTTP server come in. Without claims it is as if it were not there. */
class Door {
  readonly #server: EventEmitter
  readonly #claims = new Set<Claim>()
  readonly #watched = new Set<EventEmitter>()
  readonly #undo: Undo[] = []

  constructor (server: EventEmitter) {
    this.#server = server
  }

  /** Gives what is claimed to whom it belongs, as long as the claim stands. */
  add (claim: Claim): void {
    this.#claims.add(claim)
    if (this.#claims.size > 1) return
    this.#divert()
    this.watch(this.#server)
  }

  remove (claim: Claim): void {
    this.#claims.delete(claim)
    if (this.#claims.size > 0) return
    for (const undo of this.#undo.splice(0)) undo()
    this.#watched.clear()
  }

  /** Tells Node which requests to upgrade that come in at `server`, which passes its upgrade requests on to the one of this door. */
  watch (server: UpgradingServer): void {
    if (this.#watched.has(server)) return
    this.#watched.add(server)
    const { shouldUpgradeCallback: would } = server
    const upgrades = (request: IncomingMessage): boolean => this.#upgrades(request, would)
    this.#undo.push(shadow(server, 'shouldUpgradeCallback', upgrades))
    if (would === undefined) this.#askFor(server, upgrades)
  }

  // `would`: what is said of the others if they listen.
  #upgrades (request: IncomingMessage, would: UpgradingServer['shouldUpgradeCallback']): boolean {
    if (this.#claimOn(request) !== undefined) return asksForWebSocket(request)
    return this.#server.listeners('upgrade').length > 0 && (would === undefined || would.call(this.#server, request))
  }

  #claimOn (request: IncomingMessage): Claim | undefined {
    return [...this.#claims].find(claim => claim.covers(request))
  }

  #divert (): void {
    const claimOn = this.#claimOn.bind(this)
    const { emit, listenerCount } = this.#server
    this.#undo.push(
      // All listeners of an event get it: there is no other way to keep it from some.
      shadow(this.#server, 'emit', function (this: EventEmitter, event: string | symbol, ...args: unknown[]) {
        const request = args[0] as IncomingMessage
        const claim = event === 'upgrade' && asksForWebSocket(request) ? claimOn(request) : undefined
        return claim === undefined ? emit.call(this, event, ...args) : claim.emitter.emit(event, ...args)
      }),
      // Node asks whether anybody listens at all. A listener of our own would be one more for others who ask, such as
      // @fastify/http-proxy, which takes all upgrade requests if it is alone.
      shadow(this.#server, 'listenerCount', (event: string | symbol, ...listener: [never?]) => {
        const count = listenerCount.call(this.#server, event, ...listener)
        return event === 'upgrade' && this.#claims.size > 0 ? Math.max(count, 1) : count
      })
    )
  }

  // Older releases of Node do not ask, so the parser of each connection does. What it calls is not documented, but has been the
  // same in all of them, and changes no more.
  #askFor (server: EventEmitter, upgrades: (request: IncomingMessage) => boolean): void {
    const onConnection = ({ parser }: Socket & { parser?: Parser }): void => {
      // It speaks HTTP/2, or is not deciphered yet.
      if (!parser) return
      const { onIncoming } = parser
      parser.onIncoming = (request: IncomingMessage & { upgrade?: boolean }, keepAlive) => {
        if (request.upgrade && request.method !== 'CONNECT') request.upgrade = upgrades(request)
        return onIncoming(request, keepAlive)
      }
    }
    for (const event of ['connection', 'secureConnection']) {
      server.on(event, onConnection)
      this.#undo.push(() => server.off(event, onConnection))
    }
  }
}

// Puts a property over one that is there. If somebody else has put theirs over it, it stays when it is undone: it then does nothing.
function shadow (target: object, name: string, value: unknown): Undo {
  const own = Object.getOwnPropertyDescriptor(target, name)
  Object.defineProperty(target, name, { value, writable: true, configurable: true })
  return () => {
    if (Reflect.get(target, name) !== value) return
    Reflect.deleteProperty(target, name)
    if (own !== undefined) Object.defineProperty(target, name, own)
  }
}
