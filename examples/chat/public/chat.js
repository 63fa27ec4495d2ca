import { CometD } from './vendor/cometd/cometd.js'
import * as view from './view.js'

const { element } = view

const cometd = new CometD()
cometd.unregisterTransport('callback-polling')
cometd.configure({ url: new URL('cometd', window.location.href).href, backoffIncrement: 500, maxBackoff: 3000, logLevel: 'warn' })

// By this the server knows that it is still us when the connection comes back.
const key = Array.from(crypto.getRandomValues(new Uint32Array(4)), number => number.toString(36).padStart(7, '0')).join('')
// Everybody who is or was in the room while we are: member id → { member, present, version }.
const known = new Map()
let me
let room
let roomsVersion
let recipient
let subscription
let connected = false

// The connection

cometd.addListener('/meta/handshake', reply => {
  if (reply.successful) {
    // With its next handshake the client would forget that WebSocket is refused here, and then retry it for ever.
    if (transport() !== 'websocket') cometd.unregisterTransport('websocket')
    // A new session, the first one or one after the server has forgotten the old one: it has no subscriptions yet.
    subscription = undefined
    roomsVersion = -1
    me = reply.ext.chat
    view.showMe(me)
    cometd.batch(() => {
      cometd.subscribe('/chat/rooms', updateRooms)
      join()
    })
  } else if (reply.advice?.reconnect === 'none') {
    sessionStorage.removeItem('name')
    view.showWelcome('You were not let in. Please try another name.')
  } else {
    setConnected(false)
  }
})

cometd.addListener('/meta/connect', reply => {
  if (!cometd.isDisconnected()) setConnected(reply.successful)
})

cometd.addListener('/meta/disconnect', () => {
  connected = false
  me = recipient = subscription = undefined
  view.showWelcome()
})

function setConnected (now) {
  connected = now
  if (connected) view.showConnection('connected', transport())
  else view.showConnection(me ? 'reconnecting' : 'connecting')
  if (connected) join()
}

function transport () {
  return cometd.getTransport().type
}

// The rooms

const roomEvents = {
  message: view.showMessage,
  members ({ members, version }) {
    for (const member of members) learn(member, true, version)
  },
  joined ({ member, version }) {
    learn(member, true, version)
    view.showNotice(member.id === me.id ? `You are in #${room}` : `${member.name} joined`)
  },
  left ({ member, version }) {
    learn(member, false, version)
    view.showNotice(`${member.name} left`)
  }
}

/** What comes late, because it was overtaken on the other connection of long-polling, changes nothing. */
function learn (member, present, version) {
  if (version > (known.get(member.id)?.version ?? 0)) known.set(member.id, { member, present, version })
}

function isHere (member) {
  return known.get(member?.id)?.present === true
}

function updateRooms ({ data }) {
  if (data.version < roomsVersion) return
  roomsVersion = data.version
  view.showRooms(data.rooms)
}

/** Makes the server's idea of the room that we are in the same as ours. */
function join () {
  const channel = `/chat/rooms/${room}`
  if (subscription?.channel === channel) return

  known.clear()
  cometd.batch(() => {
    if (subscription) cometd.unsubscribe(subscription)
    const joining = subscription = cometd.subscribe(channel, ({ data }) => {
      roomEvents[data.type](data)
      showPeople()
    }, reply => {
      if (reply.successful || joining !== subscription) return
      subscription = undefined
      if (reply.error?.startsWith('403')) turnAway()
    })
  })
}

function enterRoom () {
  const next = roomName(window.location.hash) || 'lobby'
  if (next === room) return
  room = next
  known.clear()
  view.showRoom(room)
  showPeople()
  if (connected) join()
}

function turnAway () {
  const closed = room
  window.history.replaceState(null, '', '#lobby')
  enterRoom()
  view.showNotice(`#${closed} cannot be opened now, there are too many rooms`)
}

/** What a person typed as a room's name: 'Café Ämter' becomes 'cafe-amter'. */
function roomName (text) {
  let name = text
  try { name = decodeURIComponent(text) } catch {}
  return name.normalize('NFD').replace(/\p{M}/gu, '').toLowerCase().replace(/[^a-z0-9]+/g, '-').replace(/^-/, '').slice(0, 24).replace(/-$/, '')
}

function showPeople () {
  view.showPeople([...known.values()].filter(({ present }) => present).map(({ member }) => member))
  view.showRecipient(recipient, isHere(recipient))
}

// What is written

cometd.addListener('/service/chat/whisper', ({ data }) => view.showMessage(data))

function send () {
  const text = element('text').value.trim()
  // A message meant for one person must never go to all, because that person has just left.
  if (!text || !connected || (recipient && !isHere(recipient))) return

  const [channel, data] = recipient
    ? ['/service/chat/whisper', { to: recipient.id, text }]
    : ['/service/chat/say', { room, text }]
  cometd.publish(channel, data, reply => {
    if (reply.successful) return
    view.showNotice('Your message could not be sent')
    element('text').value ||= text
  })
  element('text').value = ''
}

function writeTo (id) {
  recipient = known.get(id)?.member
  view.showRecipient(recipient, true)
  view.closeMenu()
  element('text').focus()
}

// The page

element('enter').addEventListener('submit', event => {
  event.preventDefault()
  const name = element('name').value.trim()
  if (name) enter(name)
})

element('new-room').addEventListener('submit', event => {
  event.preventDefault()
  const name = roomName(element('room').value)
  if (!name) return
  event.target.reset()
  window.location.hash = name
  view.closeMenu()
})

element('rooms').addEventListener('click', view.closeMenu)
element('people').addEventListener('click', event => {
  const person = event.target.closest('[data-key]')
  if (person && person.dataset.key !== me.id) writeTo(person.dataset.key)
})
element('to-all').addEventListener('click', () => writeTo())

element('composer').addEventListener('submit', event => {
  event.preventDefault()
  send()
  element('text').focus()
})
element('text').addEventListener('keydown', event => {
  if (event.key !== 'Enter' || event.shiftKey || event.isComposing) return
  event.preventDefault()
  send()
})

element('leave').addEventListener('click', () => {
  sessionStorage.removeItem('name')
  cometd.disconnect()
})

window.addEventListener('hashchange', () => { if (!element('chat').hidden) enterRoom() })

// A request that leaves with the page: the others see at once that this tab was closed.
window.addEventListener('pagehide', () => {
  const disconnect = [{ id: 'bye', channel: '/meta/disconnect', clientId: cometd.getClientId() }]
  if (!cometd.isDisconnected()) navigator.sendBeacon('cometd/disconnect', new Blob([JSON.stringify(disconnect)], { type: 'application/json' }))
})

function enter (name) {
  // For this tab only, so that a reload stays in the chat and another tab can be somebody else.
  sessionStorage.setItem('name', name)
  room = undefined
  view.showChat()
  enterRoom()
  view.showConnection('connecting')
  cometd.handshake({ ext: { chat: { name, key } } })
}

const name = sessionStorage.getItem('name')
if (name) enter(name)
else view.showWelcome()
