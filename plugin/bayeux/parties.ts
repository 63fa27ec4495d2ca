import { isIPv6 } from 'node:net'
import { Failures } from './budget.js'

// Addresses whose failures are remembered: those of long ago are forgotten first.
const MOST_REMEMBERED = 10_000

/** Who is behind one address: it has a share of what is there for all, and no more. */
export interface Party {
  readonly address: string
  sessions: number
  /** Channels that its sessions have made. */
  channels: number
}

/** The parties of a server, by address. */
export class Parties {
  readonly #byAddress = new Map<string, Party>()
  readonly #failures = new Map<string, Failures>()

  /** One session, or one channel, more of a party. */
  join (address: string, what: 'sessions' | 'channels'): Party {
    let party = this.#byAddress.get(address)
    if (party === undefined) {
      party = { address, sessions: 0, channels: 0 }
      this.#byAddress.set(address, party)
    }
    party[what]++
    return party
  }

  leave (party: Party, what: 'sessions' | 'channels'): void {
    party[what]--
    if (party.sessions === 0 && party.channels === 0) this.#byAddress.delete(party.address)
  }

  /** How many sessions, or channels, the party has. */
  count (address: string | undefined, what: 'sessions' | 'channels'): number {
    return address === undefined ? 0 : this.#byAddress.get(address)?.[what] ?? 0
  }

  /** Whether an authentication from there may be tried: no more than `limit` have failed in a minute. `now` in ms. */
  mayTry (address: string | undefined, limit: number, now: number): boolean {
    const failures = address === undefined ? undefined : this.#failures.get(address)
    return failures === undefined || failures.mayTry(limit, now)
  }

  /** An authentication from there has failed. */
  failed (address: string | undefined, limit: number, now: number): void {
    if (address === undefined) return
    const failures = this.#failures.get(address) ?? new Failures()
    failures.count(limit, now)
    // The last to fail is the last to be forgotten.
    this.#failures.delete(address)
    this.#failures.set(address, failures)
    if (this.#failures.size <= MOST_REMEMBERED) return
    const [oldest] = this.#failures.keys()
    this.#failures.delete(oldest as string)
  }
}

/** The address of a party: of IPv6 the first 64 bits, since whoever has one address has all of these. Undefined if it is not known. */
export function partyAddress (ip: string | undefined): string | undefined {
  if (ip === undefined) return undefined
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(ip)
  if (mapped !== null) return mapped[1] as string
  if (!isIPv6(ip)) return ip
  const [head = '', tail] = (ip.split('%')[0] as string).split('::')
  const groups = head === '' ? [] : head.split(':')
  const rest = tail === undefined || tail === '' ? [] : tail.split(':')
  const all = tail === undefined ? groups : [...groups, ...new Array<string>(Math.max(0, 8 - groups.length - rest.length)).fill('0'), ...rest]
  return all.slice(0, 4).map(group => parseInt(group, 16).toString(16)).join(':') + '::/64'
}
