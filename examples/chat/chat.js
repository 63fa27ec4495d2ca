import { createHash } from 'node:crypto'

const ROOM_LIST = '/chat/rooms'
const ROOM = '/chat/rooms/'
const SAY = '/service/chat/say'
const WHISPER = '/service/chat/whisper'

const PERMANENT_ROOMS = ['lobby', 'coffee', 'help']
const MAX_ROOMS = 50
const MAX_NAME = 24
const MAX_TEXT = 2000

/**
 * The server's side of the chat.
 *
 * A person is in a room while their session is subscribed to `/chat/rooms/<room>`, so closing a tab, losing the network and
 * leaving on purpose all look the same here. What people write comes in over service channels; only the server publishes.
 *
 * @param {import('fastify-cometd').CometDServer} cometd
 */
export function startChat (cometd) {
  // Session id → member. Session ids and keys are secrets between a page and the server; the others see the member's id.
  const people = new Map()
  // Room name → (session id → member).
  const rooms = new Map(PERMANENT_ROOMS.map(name => [name, new Map()]))
  // Counts the changes. With long-polling a page has two connections on which answers may overtake each other, so each change
  // has its number.
  let version = 0

  // A channel with a listener stays; a room's channel goes when the last person leaves.
  const roomList = cometd.createServerChannel(ROOM_LIST)
  roomList.addListener('subscribed', (channel, session) => session.deliver(null, ROOM_LIST, describeRooms()))

  cometd.policy = {
    canHandshake: (session, message) => cleanName(message.ext?.chat?.name) !== '' && isKey(message.ext.chat.key),
    canCreate: (session, message, channelName) => message.channel === '/meta/subscribe' && isRoom(channelName),
    canSubscribe: (session, message, channel) => channel.name === ROOM_LIST || (isRoom(channel.name) && isFree(channel, message)),
    canPublish: (session, message, channel) => channel.name === SAY || channel.name === WHISPER
  }

  cometd.addListener('sessionAdded', (session, message) => {
    const { name, key } = message.ext.chat
    const id = createHash('sha256').update(key).digest('base64url')
    // A page that comes again with its key is the same person, also after a restart. Its old session is not needed any more.
    for (const [address, member] of people) if (member.id === id) cometd.getServerSession(address).disconnect()

    const member = { id, name: uniqueName(cleanName(name)) }
    people.set(session.id, member)
    message.reply.ext = { chat: member }
  })

  cometd.addListener('sessionRemoved', session => {
    people.delete(session.id)
  })

  cometd.addListener('subscribed', (channel, session) => {
    if (!isRoom(channel.name)) return

    const name = channel.name.slice(ROOM.length)
    const member = people.get(session.id)
    if (!rooms.has(name)) rooms.set(name, new Map())
    const room = rooms.get(name).set(session.id, member)

    version++
    channel.publish(null, { type: 'joined', member, version })
    session.deliver(null, channel.name, { type: 'members', members: [...room.values()], version })
    roomList.publish(null, describeRooms())
  })

  cometd.addListener('unsubscribed', (channel, session) => {
    const name = channel.name.slice(ROOM.length)
    const room = rooms.get(name)
    const member = room?.get(session.id)
    if (!isRoom(channel.name) || !member) return

    room.delete(session.id)
    if (room.size === 0 && !PERMANENT_ROOMS.includes(name)) rooms.delete(name)

    version++
    channel.publish(null, { type: 'left', member, version })
    roomList.publish(null, describeRooms())
  })

  cometd.createServerChannel(SAY).addListener('message', (session, channel, { data }) => {
    const from = rooms.get(data?.room)?.get(session.id)
    const text = cleanText(data?.text)
    if (!from || !text) return false

    cometd.createServerChannel(ROOM + data.room).publish(session, { type: 'message', from, text, time: Date.now() })
  })

  cometd.createServerChannel(WHISPER).addListener('message', (session, channel, { data }) => {
    const from = people.get(session.id)
    const [address, to] = [...people].find(([, member]) => member.id === data?.to) ?? []
    const text = cleanText(data?.text)
    if (!to || to === from || !text) return false

    const whisper = { from, to, text, time: Date.now() }
    cometd.getServerSession(address).deliver(session, WHISPER, whisper)
    session.deliver(session, WHISPER, whisper)
  })

  function isFree (channel, message) {
    return rooms.has(channel.name.slice(ROOM.length)) || rooms.size + message.subscription.length <= MAX_ROOMS
  }

  function describeRooms () {
    return { rooms: [...rooms].map(([name, room]) => ({ name, people: room.size })), version }
  }

  function uniqueName (name) {
    const taken = new Set([...people.values()].map(member => member.name.toLowerCase()))
    let unique = name
    for (let n = 2; taken.has(unique.toLowerCase()); n++) unique = `${name} ${n}`
    return unique
  }
}

function isRoom (channelName) {
  return /^\/chat\/rooms\/[a-z0-9][a-z0-9-]{0,23}$/.test(channelName)
}

/** What a page made up when it was loaded. */
function isKey (value) {
  return typeof value === 'string' && value.length >= 16 && value.length <= 64
}

/** One line without control and invisible characters, or '' for what cannot be a name. */
function cleanName (value) {
  if (typeof value !== 'string') return ''
  const name = value.replace(/[\s\p{C}]+/gu, ' ').trim()
  return name.length <= MAX_NAME ? name : ''
}

/** The text to send, or '' for what cannot be sent. */
function cleanText (value) {
  if (typeof value !== 'string' || value.length > MAX_TEXT) return ''
  return value.trim()
}
