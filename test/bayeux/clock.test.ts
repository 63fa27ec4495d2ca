import t from 'tap'
import FakeTimers from '@sinonjs/fake-timers'
import { Clock, type Timed } from '../../plugin/bayeux/clock.js'
import { timeSource } from '../helpers/harness.js'

const silent = { error () {}, warn () {}, info () {}, debug () {} }

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
  const clock = new Clock(timeSource(source), silent)
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
  const clock = new Clock(timeSource(source), silent)
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
  const clock = new Clock(timeSource(source), silent)
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
  const clock = new Clock(timeSource(source), silent)
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

t.test('after a pause of the process what has arrived is read first, then everything that fell due is kept', async t => {
  const source = FakeTimers.createClock()
  const clock = new Clock(timeSource(source), silent)
  const log: string[] = []
  for (const delay of [100, 200, 5_000, 90_000]) clock.schedule(new Appointment(log, String(delay)), delay)
  const silentClient = new Appointment(log, 'silent')
  const heardClient = new Appointment(log, 'heard')
  clock.schedule(silentClient, 3_000)
  clock.schedule(heardClient, 3_000)
  source.jump(10_000)
  source.tick(500)
  t.strictSame(log, [])
  // What its client sent meanwhile has been read.
  clock.schedule(heardClient, 3_000)
  source.tick(500)
  t.strictSame(log, ['100', '200', 'silent', '5000'])
  source.tick(1_550)
  t.strictSame(log, ['100', '200', 'silent', '5000'])
  source.tick(1_000)
  t.strictSame(log.splice(4), ['heard'])
  log.splice(2, 1)
  clock.stop()
  t.equal(source.countTimers(), 0)
  source.tick(100_000)
  t.strictSame(log, ['100', '200', '5000'])
})

t.test('a process that is always late keeps its appointments all the same', async t => {
  const source = FakeTimers.createClock()
  const clock = new Clock(timeSource(source), silent)
  const log: string[] = []
  clock.schedule(new Appointment(log, 'one'), 100)
  source.jump(1_000)
  source.jump(2_000)
  t.strictSame(log, ['one'])
})

t.test('an appointment that fails is logged and hurts no other', async t => {
  const source = FakeTimers.createClock()
  const errors: unknown[] = []
  const clock = new Clock(timeSource(source), { ...silent, error (details) { errors.push((details as { err: Error }).err.message) } })
  const log: string[] = []
  clock.schedule(new Appointment(log, 'first', () => { throw new Error('fails') }), 100)
  clock.schedule(new Appointment(log, 'second'), 100)
  clock.schedule(new Appointment(log, 'third'), 200)
  source.tick(300)
  t.strictSame(log, ['first', 'second', 'third'])
  t.strictSame(errors, ['fails'])
})

t.test('many appointments of one time are kept in slices, so that others have their turn', async t => {
  const source = FakeTimers.createClock()
  const clock = new Clock(timeSource(source), silent)
  const log: string[] = []
  // Each takes 3 ms.
  for (let i = 0; i < 10; i++) clock.schedule(new Appointment(log, String(i), () => { source.setSystemTime(source.now + 3) }), 100)
  const late = new Appointment(log, 'late')
  clock.schedule(late, 100)
  source.next()
  source.next()
  const first = log.length
  t.ok(first > 1 && first < 6, `${first} at once`)
  clock.cancel(late)
  source.runAll()
  t.strictSame(log, ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9'])
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
  }, silent)
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
