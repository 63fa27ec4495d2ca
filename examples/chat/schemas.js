// @ts-check
import { Type } from '@sinclair/typebox'

/** What a page says in its handshake: the name that somebody chose, and a key that the page made up. */
export const Introduction = Type.Object({
  name: Type.RegExp(/[^\s\p{C}]/u, { maxLength: 24 }),
  key: Type.String({ minLength: 16, maxLength: 64 })
})

/** What the others see of somebody. */
export const Person = Type.Object({ id: Type.String(), name: Type.String() })
export const RoomName = Type.String({ pattern: '^[a-z0-9][a-z0-9-]{0,23}$' })

const Text = Type.String({ pattern: '\\S', maxLength: 2000 })
const Time = Type.Integer({ description: 'Milliseconds since 1970' })
// With long-polling a page has two connections, on which messages may overtake each other.
const Version = Type.Integer({ description: 'What has a lower one is older' })

export const RoomList = Type.Object({
  rooms: Type.Array(Type.Object({ name: RoomName, people: Type.Integer() })),
  version: Version
})

export const RoomEvent = Type.Union([
  Type.Object({ type: Type.Literal('joined'), member: Person, version: Version }),
  Type.Object({ type: Type.Literal('left'), member: Person, version: Version }),
  Type.Object({ type: Type.Literal('members'), members: Type.Array(Person), version: Version }),
  Type.Object({ type: Type.Literal('message'), from: Person, text: Text, time: Time })
])

export const Say = Type.Object({ room: RoomName, text: Text })
export const Whisper = Type.Object({ to: Type.String({ description: 'The id of a person' }), text: Text })
export const Whispered = Type.Object({ from: Person, to: Person, text: Text, time: Time })
