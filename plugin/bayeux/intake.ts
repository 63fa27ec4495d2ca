import type { Awaitable } from './awaitable.js'
import type { Frame } from './frame.js'

interface Place {
  ready: boolean
  frame: Frame | undefined
  readonly enter: (frame: Frame | undefined) => void
}

/**
 * What is on its way to one client, in order, while some of it is still with an extension. So a message that has to wait keeps
 * those behind it waiting, for this client, and nobody else.
 */
export class Intake {
  readonly #places: Place[] = []

  get empty (): boolean {
    return this.#places.length === 0
  }

  /**
   * Has `next` called with what arrives, once it is there and everything before it has passed.
   * @param arriving must not reject; gives undefined if the message was deleted on its way
   */
  put<T> (arriving: Awaitable<Frame | undefined>, next: (frame: Frame | undefined) => T): Promise<T> {
    return new Promise(resolve => {
      const place: Place = { ready: false, frame: undefined, enter: frame => resolve(next(frame)) }
      this.#places.push(place)
      Promise.resolve(arriving).then(frame => {
        place.ready = true
        place.frame = frame
        this.#advance()
      })
    })
  }

  #advance (): void {
    for (let place = this.#places[0]; place?.ready; place = this.#places[0]) {
      this.#places.shift()
      place.enter(place.frame)
    }
  }
}
