// @ts-check
/** @import { Static } from '@sinclair/typebox' */
/** @import { CometDPluginOptions } from 'fastify-cometd' */
import { Type } from '@sinclair/typebox'
import Fastify from 'fastify'
import cookie from '@fastify/cookie'
import session from '@fastify/session'
import cometd, { RemoteCallFailure } from 'fastify-cometd'

const Login = Type.Object({ user: Type.String(), password: Type.String() })
const Mail = Type.Object({ from: Type.String(), text: Type.String() })
const Letter = Type.Object({ to: Type.String(), text: Type.String({ minLength: 1, maxLength: 1_000 }) })
const Receipt = Type.Object({ arrived: Type.Boolean({ description: 'Whether somebody is there to read it' }) })

/**
 * Mail between people who have logged in. Who somebody is, is in the web session: its cookie comes with requests and with
 * upgrade requests alike, so nothing is to be done in the client.
 *
 * @param {{ secret: string, cometd?: CometDPluginOptions }} options
 */
export async function buildPost ({ secret, cometd: options }) {
  // In place of a database, which would have hashes of the passwords.
  const passwords = new Map([['ada', 'lovelace'], ['bob', 'builder']])

  const app = Fastify()
  await app.register(cookie)
  await app.register(session, {
    secret,
    cookie: { secure: 'auto', sameSite: 'lax' },
    saveUninitialized: false,
    // A held connect is answered after the logout that ends it. With `rolling`, its answer would store the web session again.
    rolling: false
  })

  app.post('/login', { schema: { body: Login } }, async (request, reply) => {
    const { user, password } = /** @type {Static<typeof Login>} */ (request.body)
    if (passwords.get(user) !== password) return reply.code(401).send({ error: 'wrong name or password' })
    end(request.session.sessionId)
    // With a new id: whoever knew the old one has no part in it.
    await request.session.regenerate()
    request.session.set('name', user)
    return { user }
  })

  app.post('/logout', async request => {
    const { sessionId } = request.session
    await request.session.destroy()
    return { ended: end(sessionId) }
  })

  await app.register(cometd, {
    defaultPolicy: 'deny',
    policy: {
      identify: async () => {
        const { request } = app.cometd.context
        // The request is that of the upgrade, if the handshake came over a socket, and may be older than a logout.
        await request?.session.reload()
        const { name, sessionId } = request?.session ?? {}
        return name === undefined ? null : { sub: name, webSession: sessionId }
      },
      canHandshake: ({ identity }) => identity !== undefined
    },
    channels: {
      '/inbox/{name}': {
        schema: Mail,
        subscribe: (request, { identity }, { parameters }) => parameters.name === identity?.sub
      }
    },
    ...options
  })

  app.cometd.remoteCall('send', {
    schema: { parameters: Letter, result: Receipt },
    publish: true
  }, ({ identity }, { to, text }) => {
    if (!passwords.has(to)) throw new RemoteCallFailure({ error: 'nobody has that name' })
    const inbox = app.cometd.getServerChannel(`/inbox/${to}`)
    inbox?.publish(null, { from: identity?.sub, text })
    return { arrived: (inbox?.subscribers.length ?? 0) > 0 }
  })

  /**
   * Ends all that was opened with a web session.
   *
   * @param {string} id
   */
  function end (id) {
    return app.cometd.revoke(({ identity }) => identity?.webSession === id)
  }

  return app
}
