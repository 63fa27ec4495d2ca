// @ts-check
/** @import { CometD } from 'cometd' */

/**
 * Makes a CometD client send its token with each handshake, and a new one when the server asks for it. To be called before the
 * first handshake.
 *
 * @param {CometD} client
 * @param {() => Promise<string>} getToken gives a token that is valid for a while
 */
export async function authenticate (client, getToken) {
  let token = await getToken()
  let isNew = false
  let renewing = false
  let wasLetIn = false

  async function renew () {
    if (renewing || isNew) return
    renewing = true
    try {
      token = await getToken()
      isNew = true
    } finally {
      renewing = false
    }
  }

  client.registerExtension('authentication', {
    outgoing (message) {
      if (message.channel !== '/meta/handshake' && !(message.channel === '/meta/connect' && isNew)) return message
      isNew = false
      return { ...message, ext: { ...message.ext, authentication: token } }
    },
    incoming (message) {
      const { authentication } = /** @type {{ authentication?: { required?: boolean } }} */ (message.ext ?? {})
      // If it fails, the server asks again.
      if (authentication?.required) renew().catch(() => {})
      return message
    }
  })

  // While the network or the machine was away, a token may have ended with which all was well before.
  client.addListener('/meta/handshake', ({ successful, advice }) => {
    const isTooOld = wasLetIn && !successful && advice?.reconnect === 'none'
    wasLetIn = successful === true
    if (isTooOld) renew().then(() => client.handshake(), () => {})
  })
}
