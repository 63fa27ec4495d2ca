// @ts-check
/** @import { Static } from '@sinclair/typebox' */
/** @import { CometDPluginOptions } from 'fastify-cometd' */
import { Type } from '@sinclair/typebox'
import Fastify from 'fastify'
import jwt from '@fastify/jwt'
import cometd from 'fastify-cometd'

const Login = Type.Object({ user: Type.String(), password: Type.String() })

const News = Type.Object({
  title: Type.String({ minLength: 1, maxLength: 200 }),
  text: Type.String({ maxLength: 10_000 })
})

/**
 * News for whoever has a token, written by editors. Tokens do not last: clients get a new one in time, and go on with their
 * session.
 *
 * @param {{ secret: string, lifetime?: number, cometd?: CometDPluginOptions }} options `lifetime` of a token, in seconds
 */
export async function buildNews ({ secret, lifetime = 300, cometd: options }) {
  // In place of a database, which would have hashes of the passwords.
  const people = new Map([
    ['ada', { password: 'lovelace', roles: ['editor'] }],
    ['bob', { password: 'builder', roles: [] }]
  ])

  const app = Fastify()
  await app.register(jwt, { secret })

  app.post('/login', { schema: { body: Login } }, async (request, reply) => {
    const { user, password } = /** @type {Static<typeof Login>} */ (request.body)
    if (people.get(user)?.password !== password) return reply.code(401).send({ error: 'wrong name or password' })
    return { token: app.jwt.sign({ sub: user }, { expiresIn: lifetime }) }
  })

  await app.register(cometd, {
    defaultPolicy: 'deny',
    policy: {
      // A token comes in the handshake, and again when the client is asked for a new one: a browser cannot put it into a header
      // of an upgrade request.
      identify: (session, { ext }) => whoHas(ext?.authentication),
      canHandshake: ({ identity }) => identity !== undefined
    },
    channels: {
      '/news': { schema: News, subscribe: true, publish: true, roles: { publish: ['editor'] } }
    },
    ...options
  })

  // Whoever gives up an account loses the sessions, too.
  app.delete('/people/:name', { onRequest: request => request.jwtVerify() }, async (request, reply) => {
    const { name } = /** @type {{ name: string }} */ (request.params)
    if (name !== request.user.sub) return reply.code(403).send({ error: 'not yours' })
    people.delete(name)
    return { ended: app.cometd.revoke(({ identity }) => identity?.sub === name) }
  })

  /**
   * Whether there is such a person, and with which roles, is not for the token to say: it may be older than that.
   *
   * @param {any} token
   */
  function whoHas (token) {
    try {
      const { sub, exp } = /** @type {{ sub: string, exp: number }} */ (app.jwt.verify(token))
      const person = people.get(sub)
      return person && { sub, exp, roles: person.roles }
    } catch {
      // No fault of the application: it is no token of ours, or not any more.
      return null
    }
  }

  return app
}
