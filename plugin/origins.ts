import type { FastifyRequest } from 'fastify'
import { errors } from './errors.js'
import type { CheckedOptions } from './options.js'

type AllowedOrigins = CheckedOptions['registration']['allowedOrigins']

/**
 * Refuses what a page of another site sends without having been allowed to. CORS prevents that for JSON; it does not for what any
 * page can send without asking first: an upgrade request, a form, a body without a content type.
 * @throws COMETD_ERR_ORIGIN_FORBIDDEN
 */
export async function checkOrigin (request: FastifyRequest, allowed: AllowedOrigins): Promise<void> {
  if (!await isAllowed(request, allowed)) throw new errors.COMETD_ERR_ORIGIN_FORBIDDEN()
}

async function isAllowed (request: FastifyRequest, allowed: AllowedOrigins): Promise<boolean> {
  const { origin, 'sec-fetch-site': site } = request.headers
  if (allowed === '*') return true
  // Of a page that does not tell its origin, browsers tell at least this. What is no page has neither.
  if (origin === undefined && site === 'cross-site') return false
  if (typeof allowed === 'function') return await allowed.call(request.server, origin, request)
  if (origin === undefined) return true
  return allowed === 'same-host' ? isSameHost(origin, request.host) : allowed.includes(origin)
}

function isSameHost (origin: string, host: string): boolean {
  if (!URL.canParse(origin)) return false
  const page = new URL(origin)
  const here = `${page.protocol}//${host}`
  return URL.canParse(here) && new URL(here).host === page.host
}
