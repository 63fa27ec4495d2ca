import t from 'tap'
import FakeTimers from '@sinonjs/fake-timers'
import { Clock, type Timed } from '../../plugin/bayeux/clock.js'
import { timeSource } from '../helpers/harness.js'

class Appointment implements Timed {
  tick = -1
  readonly name: string
  readonly log: string[]
  readonly then: (() => void) | undefined

  constructor (log: string[], name: string, then?: () => void) {
    this.log = log
    this.name = name
    this.then = then
  }

  onTime (): void {
    this.log.push(this.name)
    this.then?.()
  }
}

t.test('an appointment is kept at its time, not before, and at most 50 ms after', async t => {
  const source = FakeTimers.createClock()
  const clock = new Clock(timeSource(source))
  const log: string[] = []
  for (const delay of [0, 1, 49, 50, 51, 1_000]) {
    clock.schedule(new Appointment(log, 'x'), delay)
    source.tick(Math.max(0, delay - 1))
    t.strictSame(log.splice(0), [], `${delay}: not before`)
    source.tick(100)
    t.strictSame(log.splice(0), ['x'], `${delay}: kept`)
  }
  t.equal(source.countTimers(), 0, 'nothing ticks when there is no appointment')
})

t.test('an appointment can be put off, moved nearer and cancelled', async t => {
  const source = FakeTimers.createClock()
  const clock = new Clock(timeSource(source))
  const log: string[] = []
  const [off, nearer, cancelled] = ['off', 'nearer', 'cancelled'].map(name => new Appointment(log, name)) as [Appointment, Appointment, Appointment]
  for (const each of [off, nearer, cancelled]) clock.schedule(each, 1_000)
  clock.schedule(off, 2_000)
  clock.schedule(nearer, 500)
  clock.cancel(cancelled)
  clock.cancel(cancelled)
  source.tick(600)
  t.strictSame(log, ['nearer'])
  source.tick(1_350)
  t.strictSame(log, ['nearer'])
  source.tick(100)
  t.strictSame(log, ['nearer', 'off'])
  t.equal(source.countTimers(), 0)
})

t.test('one that is put off and then moved nearer again comes at the last time', async t => {
  const source = FakeTimers.createClock()
  const clock = new Clock(timeSource(source))
  const log: string[] = []
  const one = new Appointment(log, 'one')
  clock.schedule(one, 100)
  clock.schedule(one, 5_000)
  clock.schedule(one, 1_000)
  source.tick(950)
  t.strictSame(log, [])
  source.tick(100)
  t.strictSame(log, ['one'])
})

t.test('an appointment may cancel or move another of the same time', async t => {
  const source = FakeTimers.createClock()
  const clock = new Clock(timeSource(source))
  const log: string[] = []
  const cancelled = new Appointment(log, 'cancelled')
  const moved = new Appointment(log, 'moved')
  clock.schedule(new Appointment(log, 'first', () => { clock.cancel(cancelled); clock.cancel(moved); clock.schedule(moved, 500) }), 100)
  clock.schedule(cancelled, 100)
  clock.schedule(moved, 100)
  source.tick(200)
  t.strictSame(log, ['first'])
  source.tick(500)
  t.strictSame(log, ['first', 'moved'])
})

t.test('after a pause of the process everything that fell due is kept', async t => {
  const source = FakeTimers.createClock()
  const clock = new Clock(timeSource(source))
  const log: string[] = []
  for (const delay of [100, 200, 5_000, 90_000]) clock.schedule(new Appointment(log, String(delay)), delay)
  source.jump(10_000)
  source.tick(50)
  t.strictSame(log, ['100', '200', '5000'])
  clock.stop()
  t.equal(source.countTimers(), 0)
  source.tick(100_000)
  t.strictSame(log, ['100', '200', '5000'])
})

t.test('only appointments that somebody waits for keep the process alive', async t => {
  const source = FakeTimers.createClock()
  const calls: string[] = []
  const clock = new Clock({
    ...timeSource(source),
    setTimeout (callback, milliseconds) {
      source.setTimeout(callback, milliseconds)
      return { ref: () => calls.push('ref'), unref: () => calls.push('unref') }
    },
    clearTimeout: () => {}
  })
  const [idle, awaited] = [new Appointment([], 'idle'), new Appointment([], 'awaited')]
  clock.schedule(idle, 1_000)
  t.strictSame(calls.splice(0), ['unref'])
  clock.schedule(awaited, 500, true)
  t.strictSame(calls.splice(0), ['ref'])
  clock.schedule(awaited, 500)
  t.strictSame(calls.splice(0), ['unref'])
  clock.schedule(awaited, 500, true)
  clock.cancel(awaited)
  t.strictSame(calls.splice(0), ['ref', 'unref'])
})
