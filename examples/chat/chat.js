// @ts-check
/** @import { Static } from '@sinclair/typebox' */
/** @import { FastifyPluginAsync } from 'fastify' */
/** @import { CometDPluginOptions, ServerChannel, ServerSession } from 'fastify-cometd' */
/** @import { Person } from './schemas.js' */
import { createHash } from 'node:crypto'
import { TypeCompiler } from '@sinclair/typebox/compiler'
import cometd from 'fastify-cometd'
import fp from 'fastify-plugin'
import { Introduction, RoomEvent, RoomList, RoomName, Say, Whisper, Whispered } from './schemas.js'

const PERMANENT_ROOMS = ['lobby', 'coffee', 'help']
const MAX_ROOMS = 50

const introduction = TypeCompiler.Compile(Introduction)
const roomName = TypeCompiler.Compile(RoomName)

/**
 * The server's side of the chat.
 *
 * A person is in a room while their session is subscribed to `/chat/rooms/<room>`, so closing a tab, losing the network and
 * leaving on purpose all look the same here. What people write comes in over service channels; only the server publishes.
 *
 * @type {FastifyPluginAsync<CometDPluginOptions>}
 */
async function plugin (app, options) {
  /** @type {Map<string, ServerSession>} Sessions by the id of the person. */
  const sessions = new Map()
  /** @type {Map<string, ServerChannel<`/chat/rooms/${string}`>>} Channels by the name of the room. */
  const rooms = new Map()
  let version = 0

  await app.register(cometd, {
    defaultPolicy: 'deny',
    policy: {
      identify: (session, { ext }) => introduction.Check(ext?.chat) ? identityOf(ext.chat) : null,
      canHandshake: ({ identity }) => identity !== undefined
    },
    ...options
  })
  const server = app.cometd

  // What travels where, and who may use it. What is not allowed here is refused.

  const roomList = server.createServerChannel('/chat/rooms', { schema: RoomList, subscribe: true })

  server.createServerChannel('/chat/rooms/{room}', {
    schema: RoomEvent,
    subscribe: (request, session, { parameters: { room }, subscription = [] }) =>
      rooms.has(room) || (roomName.Check(room) && rooms.size + subscription.length <= MAX_ROOMS)
  })

  const say = server.createServerChannel('/service/chat/say', { schema: { request: Say }, publish: true })

  const whisper = server.createServerChannel('/service/chat/whisper', { schema: { request: Whisper, response: Whispered }, publish: true })

  for (const name of PERMANENT_ROOMS) openRoom(name).persistent = true

  // What people write.

  say.addListener('message', (session, channel, { data: { room: name, text } }) => {
    const room = rooms.get(name)
    if (!room?.subscribers.includes(session)) return false
    room.publish(session, { type: 'message', from: personOf(session), text: text.trim(), time: Date.now() })
  })

  whisper.addListener('message', (session, channel, { data: { to, text } }) => {
    const addressee = sessions.get(to)
    if (!addressee || addressee === session) return false
    const message = { from: personOf(session), to: personOf(addressee), text: text.trim(), time: Date.now() }
    for (const one of [addressee, session]) one.deliver(session, '/service/chat/whisper', message)
  })

  // Who is there.

  server.addListener('sessionAdded', (session, { reply }) => {
    const person = personOf(session)
    // A page that comes again has no use for its old session.
    sessions.get(person.id)?.disconnect()
    sessions.set(person.id, session)
    reply.ext = { chat: person }
  })

  server.addListener('sessionRemoved', session => {
    sessions.delete(personOf(session).id)
  })

  roomList.addListener('subscribed', (channel, session) => session.deliver(null, '/chat/rooms', describeRooms()))

  server.addListener('subscribed', (channel, session) => {
    const name = roomNameOf(channel)
    if (!name) return
    const room = openRoom(name)
    announce('joined', room, session)
    session.deliver(null, room.name, { type: 'members', members: room.subscribers.map(personOf), version })
  })

  server.addListener('unsubscribed', (channel, session) => {
    const name = roomNameOf(channel)
    const room = rooms.get(name)
    if (!room) return
    if (room.subscribers.length === 0 && !room.persistent) rooms.delete(name)
    announce('left', room, session)
  })

  /** @param {string} name */
  function openRoom (name) {
    const room = server.createServerChannel(`/chat/rooms/${name}`)
    rooms.set(name, room)
    return room
  }

  /**
   * @param {'joined' | 'left'} type
   * @param {ServerChannel<`/chat/rooms/${string}`>} room
   * @param {ServerSession} session
   */
  function announce (type, room, session) {
    version++
    room.publish(null, { type, member: personOf(session), version })
    roomList.publish(null, describeRooms())
  }

  function describeRooms () {
    return { rooms: [...rooms].map(([name, room]) => ({ name, people: room.subscribers.length })), version }
  }

  /**
   * The key makes the id: a page that comes again is the same person, also after a restart of the server. It is a secret of
   * the page, as the id of its session is; the id of the person is for all to see.
   *
   * @param {Static<typeof Introduction>} introduction
   */
  function identityOf ({ name, key }) {
    const id = createHash('sha256').update(key).digest('base64url')
    // Nothing invisible, by which somebody could look like somebody else.
    const visible = name.replace(/[\s\p{C}]+/gu, ' ').trim()
    return { id, name: uniqueName(visible, id) }
  }

  /**
   * @param {string} name
   * @param {string} id of whose name it is to be
   */
  function uniqueName (name, id) {
    const others = [...sessions.values()].map(personOf).filter(person => person.id !== id)
    const taken = new Set(others.map(person => person.name.toLowerCase()))
    let unique = name
    for (let n = 2; taken.has(unique.toLowerCase()); n++) unique = `${name} ${n}`
    return unique
  }
}

/** @param {ServerSession} session */
function personOf (session) {
  return /** @type {Static<typeof Person>} */ (session.identity)
}

/**
 * '' for the list of rooms.
 *
 * @param {ServerChannel} channel
 */
function roomNameOf (channel) {
  return channel.name.slice('/chat/rooms/'.length)
}

/** To be registered on an application; then `app.cometd` is the server. */
export const chat = fp(plugin, { name: 'chat' })
