import { AsyncResource } from 'node:async_hooks'
import type { Log } from './environment.js'
import { LONGEST_SLICE } from './turns.js'

/** Where the server takes its time from. The default is monotonic; tests pass a clock of their own. */
export interface TimeSource {
  /** Milliseconds since any fixed moment. */
  now (): number
  /** Milliseconds since 1970, for what ends at a certain time of day. Default: the system's. */
  date? (): number
  setTimeout (callback: () => void, milliseconds: number): unknown
  clearTimeout (handle: unknown): void
}

/** Something that the clock calls when its time has come. An object has one appointment at a time. */
export interface Timed {
  /** The clock's own: the tick at which it looks, -1 if there is no appointment. */
  tick: number
  /** The clock's own: when the appointment is. */
  due?: number
  /** The clock's own: whether somebody is waiting for the appointment. */
  awaited?: boolean
  onTime (): void
}

// Node's timers can be told whether they keep the process alive; those of other time sources need not.
interface Handle { ref?: () => void, unref?: () => void }

const RESOLUTION = 50
// A wake-up that is later than this (ms) tells of a process that stood still: in a long collection of garbage, at a breakpoint,
// in a laptop that was closed.
const LATE = 250
// How long what arrived meanwhile is given at most to be read (ms).
const LONGEST_GRACE = 1_000

function tickOf (time: number): number {
  return Math.ceil(time / RESOLUTION)
}

/**
 * One coarse timer for every hold and expiry. An appointment is an entry in the set of its tick, and one timeout wakes up
 * every 50 ms for as long as there is any. Sessions put their appointment off with every request, and only few of them are ever
 * kept: so one that is put off stays where it is, and is filed anew when its old time comes. An appointment is never kept too early, and at most a tick too late, unless the process stands still: then what has arrived is read first, since a client is
 * not silent that was not heard. The timeout does not keep the process alive, except for appointments that somebody waits for: an
 * injected request has no socket that would.
 */
export class Clock {
  readonly #source: TimeSource
  readonly #log: Log
  readonly #ticks = new Map<number, Set<Timed>>()
  // The timeout may be set from within somebody's request: what it calls must not inherit that request's async context.
  readonly #root = new AsyncResource('fastify-cometd.clock')
  #lastTick = 0
  #awaited = 0
  #handle: Handle | undefined
  // When the next wake-up should be.
  #expected = 0
  #waited = false

  /** @param log learns of appointments that fail; it must not */
  constructor (source: TimeSource, log: Log) {
    this.#source = source
    this.#log = log
  }

  now (): number {
    return this.#source.now()
  }

  /** Makes or moves the appointment of `timed`. `delay` in ms; `awaited` if somebody is waiting for it. */
  schedule (timed: Timed, delay: number, awaited = false): void {
    const now = this.now()
    const due = now + delay
    if (timed.tick === -1 || tickOf(due) < timed.tick) {
      this.#remove(timed)
      if (this.#handle === undefined) {
        this.#lastTick = Math.floor(now / RESOLUTION)
        this.#wakeUpLater()
      }
      this.#file(timed, due)
    }
    timed.due = due
    this.#await(timed, awaited)
  }

  cancel (timed: Timed): void {
    this.#remove(timed)
    this.#await(timed, false)
  }

  /** Forgets every appointment and stops the timeout. */
  stop (): void {
    for (const appointments of this.#ticks.values()) {
      for (const timed of appointments) {
        timed.tick = -1
        this.#await(timed, false)
      }
    }
    this.#ticks.clear()
    this.#sleep()
  }

  #wakeUpLater (milliseconds = RESOLUTION): void {
    this.#expected = this.now() + milliseconds
    const handle = this.#source.setTimeout(() => this.#root.runInAsyncScope(this.#wakeUp, this), milliseconds)
    this.#handle = handle as Handle
    if (this.#awaited === 0) this.#handle.unref?.()
  }

  #file (timed: Timed, due: number): void {
    const tick = Math.max(tickOf(due), this.#lastTick + 1)
    const appointments = this.#ticks.get(tick)
    if (appointments === undefined) this.#ticks.set(tick, new Set([timed]))
    else appointments.add(timed)
    timed.tick = tick
  }

  #remove (timed: Timed): void {
    if (timed.tick === -1) return
    const appointments = this.#ticks.get(timed.tick)
    if (appointments?.delete(timed) && appointments.size === 0) this.#ticks.delete(timed.tick)
    timed.tick = -1
  }

  #await (timed: Timed, awaited: boolean): void {
    if ((timed.awaited ?? false) === awaited) return
    timed.awaited = awaited
    this.#awaited += awaited ? 1 : -1
    if (this.#awaited === 0) this.#handle?.unref?.()
    else if (awaited && this.#awaited === 1) this.#handle?.ref?.()
  }

  #sleep (): void {
    this.#source.clearTimeout(this.#handle)
    this.#handle = undefined
  }

  #wakeUp (): void {
    const start = this.now()
    const late = start - this.#expected
    this.#waited = late > LATE && !this.#waited
    if (this.#waited) return this.#wakeUpLater(Math.min(late, LONGEST_GRACE))

    const now = Math.floor(start / RESOLUTION)
    while (this.#lastTick < now && this.#ticks.size > 0) {
      if (this.#keepAll(this.#lastTick + 1, start + LONGEST_SLICE)) this.#lastTick++
      else return this.#wakeUpLater(0)
    }
    this.#lastTick = now
    if (this.#ticks.size > 0) this.#wakeUpLater()
    else this.#sleep()
  }

  // Keeps the appointments of a tick until `end`. Gives whether these were all.
  #keepAll (tick: number, end: number): boolean {
    const appointments = this.#ticks.get(tick)
    if (appointments === undefined) return true
    for (const timed of appointments) {
      appointments.delete(timed)
      timed.tick = -1
      const due = timed.due as number
      if (tickOf(due) > tick) this.#file(timed, due)
      else this.#keep(timed)
      if (this.now() > end && appointments.size > 0) return false
    }
    this.#ticks.delete(tick)
    return true
  }

  #keep (timed: Timed): void {
    this.#await(timed, false)
    try {
      timed.onTime()
    } catch (err) {
      this.#log.error({ err }, 'appointment failed')
    }
  }
}
