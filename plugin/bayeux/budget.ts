/** What may be spent: `burst` at once, and in the long run `rate` a second. Nothing is spent at first. Times in ms, since any fixed moment. */
export class Budget {
  #spent = 0
  #since = 0

  /** Spends `amount`, if it is there; also more than `burst`, if all of that is. */
  spend (amount: number, rate: number, burst: number, now: number): boolean {
    if (!this.has(amount, rate, burst, now)) return false
    this.#spent += amount
    return true
  }

  has (amount: number, rate: number, burst: number, now: number): boolean {
    // Time that went back counts as none.
    this.#spent = Math.max(0, this.#spent - Math.max(0, now - this.#since) * rate / 1_000)
    this.#since = now
    return this.#spent + Math.min(amount, burst) <= burst
  }

  /** Spends `amount`, whether it is there or not; what is owed is limited to ten times `burst`. */
  charge (amount: number, rate: number, burst: number, now: number): void {
    this.has(amount, rate, burst, now)
    this.#spent = Math.min(this.#spent + amount, 11 * burst)
  }

  /** How long it takes until `amount` may be spent, in ms. */
  wait (amount: number, rate: number, burst: number): number {
    return Math.max(0, Math.ceil((this.#spent + Math.min(amount, burst) - burst) / rate * 1_000))
  }
}

/** Attempts that failed: in a minute there may be so many. Those that are under way at the same time count afterwards. */
export class Failures {
  readonly #budget = new Budget()

  mayTry (limit: number, now: number): boolean {
    return this.#budget.has(1, limit / 60, limit, now)
  }

  count (limit: number, now: number): void {
    this.#budget.charge(1, limit / 60, limit, now)
  }
}

/** What a session may publish, in messages and in bytes. */
export interface PublishLimits {
  readonly maxPublishRate: number
  readonly maxPublishBurst: number
  readonly maxPublishByteRate: number
  readonly maxPublishByteBurst: number
}

/** What one session has left of that. */
export class PublishBudget {
  readonly #limits: PublishLimits
  readonly #messages = new Budget()
  readonly #bytes = new Budget()
  // There may be as many refused messages as others: who sends more does not listen.
  readonly #refused = new Budget()
  #refusedBytes = 0
  #heedless = false

  constructor (limits: PublishLimits) {
    this.#limits = limits
  }

  /** Whether its client goes on regardless although it is refused. */
  get heedless (): boolean {
    return this.#heedless
  }

  /** How long it takes until what was refused last would not be, in ms. */
  get wait (): number {
    const { maxPublishRate, maxPublishBurst, maxPublishByteRate, maxPublishByteBurst } = this.#limits
    return Math.max(this.#messages.wait(1, maxPublishRate, maxPublishBurst), this.#bytes.wait(this.#refusedBytes, maxPublishByteRate, maxPublishByteBurst))
  }

  /** Spends one message of that many bytes. Gives the limit that is in the way, if one is. */
  spend (bytes: number, now: number): string | undefined {
    const { maxPublishRate, maxPublishBurst } = this.#limits
    if (!this.#messages.has(1, maxPublishRate, maxPublishBurst, now)) return this.#refuse('max_publish_rate', bytes, now)
    const limit = this.spendBytes(bytes, now)
    if (limit === undefined) this.#messages.spend(1, maxPublishRate, maxPublishBurst, now)
    return limit
  }

  /** Spends bytes that a message takes beside those that it came with. */
  spendBytes (bytes: number, now: number): string | undefined {
    const { maxPublishByteRate, maxPublishByteBurst } = this.#limits
    return this.#bytes.spend(bytes, maxPublishByteRate, maxPublishByteBurst, now) ? undefined : this.#refuse('max_publish_byte_rate', bytes, now)
  }

  #refuse (limit: string, bytes: number, now: number): string {
    this.#refusedBytes = bytes
    const { maxPublishRate, maxPublishBurst } = this.#limits
    if (!this.#refused.spend(1, maxPublishRate, maxPublishBurst, now)) this.#heedless = true
    return limit
  }
}
