import type { FastifyInstance } from 'fastify'
import type { IncomingMessage } from 'node:http'
import { internal } from './internals.js'

type RewriteUrl = (this: FastifyInstance, request: IncomingMessage) => string

type RouterOptions = Pick<FastifyInstance['initialConfig'], 'caseSensitive' | 'ignoreDuplicateSlashes'> & { useSemicolonDelimiter?: boolean }

interface Reading { ignoresCase: boolean, ignoresDuplicateSlashes: boolean, delimiter: RegExp }

/**
 * Tells whether the URL of a request is that of a route or below it, as Fastify's router reads it, but before it is asked.
 * It says yes where a parameter of the route has a pattern that the URL does not fit: the router then finds nothing.
 */
export function urlMatch (fastify: FastifyInstance, path: string): (request: IncomingMessage) => boolean {
  const { rewriteUrl } = internal<{ rewriteUrl?: RewriteUrl }>(fastify, 'fastify.options', {})
  const reading = readingOf(fastify)
  // A pattern may have slashes of its own.
  const wanted = path.replaceAll(/\((?:[^()]|\([^()]*\))*\)/g, '').split('/').filter(Boolean).map(segment => segmentMatch(segment, reading))
  return request => {
    const segments = segmentsOf(rewriteUrl === undefined ? request.url as string : rewriteUrl.call(fastify, request), reading)
    return segments.length >= wanted.length && wanted.every((matches, index) => matches(segments[index] as string))
  }
}

// Options of the router may stand in two places: where they disagree, the one that matches more.
function readingOf ({ initialConfig }: FastifyInstance): Reading {
  const places: RouterOptions[] = [initialConfig, initialConfig.routerOptions ?? {}]
  return {
    ignoresCase: places.some(({ caseSensitive }) => caseSensitive === false),
    ignoresDuplicateSlashes: places.some(({ ignoreDuplicateSlashes }) => ignoreDuplicateSlashes === true),
    delimiter: places.some(({ useSemicolonDelimiter }) => useSemicolonDelimiter === true) ? /[?#;]/ : /[?#]/
  }
}

function segmentsOf (url: string, { delimiter, ignoresDuplicateSlashes }: Reading): string[] {
  const [path] = url.replace(/^https?:\/\/[^/?#]*/i, '').split(delimiter, 1) as [string]
  const segments = path.slice(1).split('/')
  return ignoresDuplicateSlashes ? segments.filter(Boolean) : segments
}

function segmentMatch (segment: string, { ignoresCase }: Reading): (segment: string) => boolean {
  // Two colons stand for one that begins no parameter.
  if (segment.replaceAll('::', '').includes(':')) return () => true
  const fold = (text: string): string => ignoresCase ? text.toLowerCase() : text
  const text = fold(segment.replaceAll('::', ':'))
  return given => fold(decode(given)) === text
}

function decode (segment: string): string {
  try {
    return decodeURIComponent(segment)
  } catch {
    return segment
  }
}
