/** What the page shows. Everything that people wrote is set as text, never as HTML. */

const GROUP_WITHIN = 5 * 60_000
const MAX_SHOWN = 500

const STATES = { connecting: 'Connecting…', connected: 'Connected', reconnecting: 'Reconnecting…' }
const TRANSPORTS = { websocket: 'over WebSocket', 'long-polling': 'over long-polling' }

const time = new Intl.DateTimeFormat(undefined, { timeStyle: 'short' })

let me
let previous
let room = ''
let unread = 0

export function element (id) {
  return document.getElementById(id)
}

export function showWelcome (error = '') {
  element('chat').hidden = true
  element('welcome').hidden = false
  element('enter-error').textContent = error
  element('name').focus()
  document.title = 'Chat'
}

export function showChat () {
  element('welcome').hidden = true
  element('chat').hidden = false
  element('text').focus()
}

export function showConnection (state, transport) {
  element('chat').dataset.state = element('connection').dataset.state = state
  showText('state', STATES[state])
  showText('transport', TRANSPORTS[transport] ?? '')
  enableSend()
}

export function showMe (member) {
  me = member
  element('my-name').textContent = me.name
  paintAvatar(element('my-avatar'), me)
}

export function showRoom (name) {
  room = name
  previous = undefined
  element('room-title').textContent = `#${room}`
  element('messages').replaceChildren()
  for (const link of element('rooms').querySelectorAll('a')) markCurrent(link)
  showTitle()
}

export function showRooms (rooms) {
  showList('rooms', rooms, ({ name }) => name, (item, { name, people }) => {
    const link = item.querySelector('a')
    link.href = `#${name}`
    link.setAttribute('aria-label', `${name}, ${countPeople(people)}`)
    item.querySelector('.name').textContent = name
    item.querySelector('.count').textContent = people || ''
    markCurrent(link)
  })
}

export function showPeople (people) {
  element('room-people').textContent = people.length ? `${countPeople(people.length)} here` : ''
  people.sort((a, b) => a.name.localeCompare(b.name))
  showList('people', people, ({ id }) => id, (item, member) => {
    const button = item.querySelector('button')
    const mine = member.id === me?.id
    button.disabled = mine
    button.title = mine ? '' : `Write to ${member.name} privately`
    paintAvatar(item.querySelector('.avatar'), member)
    item.querySelector('.name').textContent = member.name
    item.querySelector('.hint').textContent = mine ? 'you' : ''
  })
}

export function showRecipient (recipient, present) {
  element('to').hidden = !recipient
  element('to').classList.toggle('gone', Boolean(recipient) && !present)
  element('to-text').textContent = !recipient ? '' : present ? `Only ${recipient.name} will see this` : `${recipient.name} is not here any more`
  element('composer').classList.toggle('to-one', Boolean(recipient))
  element('text').placeholder = recipient ? `Write to ${recipient.name}` : `Write to #${room}`
  enableSend()
}

export function showMessage (message) {
  const { from, to, text } = message
  const own = from.id === me.id
  const item = clone('message')
  item.classList.toggle('own', own)
  item.classList.toggle('whisper', Boolean(to))
  item.classList.toggle('follows', follows(message))
  paintAvatar(item.querySelector('.avatar'), from)
  item.querySelector('.name').textContent = own ? 'You' : from.name
  item.querySelector('.private').textContent = to ? own ? `only to ${to.name}` : 'only to you' : ''
  item.querySelector('.text').textContent = text

  const at = item.querySelector('time')
  at.dateTime = new Date(message.time).toISOString()
  at.textContent = time.format(message.time)

  previous = message
  append(item)
  if (own) element('log').scrollTop = 0
  if (document.hidden) unread++
  showTitle()
}

export function showNotice (text) {
  const item = document.createElement('li')
  item.className = 'notice'
  item.textContent = text
  previous = undefined
  append(item)
}

export function openMenu () {
  setMenu(true)
  element('close-menu').focus()
}

export function closeMenu () {
  if (element('open-menu').getAttribute('aria-expanded') !== 'true') return
  setMenu(false)
  element('open-menu').focus()
}

function setMenu (open) {
  element('chat').classList.toggle('menu-open', open)
  element('open-menu').setAttribute('aria-expanded', open)
  document.querySelector('.room').inert = open
}

/** Leaves alone what is there already: a screen reader reads every change. */
function showText (id, text) {
  if (element(id).textContent !== text) element(id).textContent = text
}

function enableSend () {
  element('send').disabled = element('connection').dataset.state !== 'connected' || element('to').classList.contains('gone')
}

/** Whether a message continues the one above, so that its name and time need not be said again. */
function follows ({ from, to, time }) {
  return previous !== undefined && previous.from.id === from.id && previous.to?.id === to?.id && time - previous.time < GROUP_WITHIN
}

function append (item) {
  const messages = element('messages')
  messages.append(item)
  if (messages.children.length > MAX_SHOWN) messages.firstElementChild.remove()
}

/** Draws a list. Items that stay are left where they are, so that the keyboard's focus and a click that has begun stay, too. */
function showList (id, values, key, draw) {
  const list = element(id)
  const focused = document.activeElement
  const drawn = new Map([...list.children].map(item => [item.dataset.key, item]))
  const items = values.map(value => {
    const item = drawn.get(key(value)) ?? clone(id)
    item.dataset.key = key(value)
    draw(item, value)
    return item
  })
  for (const item of drawn.values()) if (!items.includes(item)) item.remove()
  items.forEach((item, i) => { if (list.children[i] !== item) list.insertBefore(item, list.children[i] ?? null) })
  if (list.contains(focused) && focused !== document.activeElement) focused.focus()
}

function clone (name) {
  return element(`${name}-template`).content.firstElementChild.cloneNode(true)
}

function markCurrent (link) {
  if (link.hash === `#${room}`) link.setAttribute('aria-current', 'page')
  else link.removeAttribute('aria-current')
}

function paintAvatar (avatar, { name }) {
  avatar.textContent = name.split(' ').slice(0, 2).map(word => [...word][0]).join('').toUpperCase()
  avatar.style.setProperty('--hue', [...name].reduce((hue, letter) => (hue * 31 + letter.codePointAt(0)) % 9973, 7) * 137 % 360)
}

function showTitle () {
  document.title = `${unread ? `(${unread}) ` : ''}#${room} · Chat`
}

function countPeople (n) {
  return n === 1 ? '1 person' : `${n} people`
}

element('open-menu').addEventListener('click', openMenu)
element('close-menu').addEventListener('click', closeMenu)
element('backdrop').addEventListener('click', closeMenu)
window.addEventListener('keydown', event => { if (event.key === 'Escape') closeMenu() })
// A phone that is turned to its side may have room for the whole page.
window.matchMedia('(max-width: 45rem)').addEventListener('change', closeMenu)
document.addEventListener('visibilitychange', () => {
  unread = 0
  if (!element('chat').hidden) showTitle()
})
