import Fastify, { type FastifyInstance } from 'fastify'
import type { IncomingMessage } from 'node:http'
import t from 'tap'
import cometd from '../../plugin/index.js'
import { internal } from '../../plugin/internals.js'
import { urlMatch } from '../../plugin/url-match.js'

type Matches = (url: string) => boolean

async function house (fastify: object, prefix = '', path = '/cometd'): Promise<{ matches: Matches, isRouted: (url: string) => Promise<boolean> }> {
  const app = Fastify(fastify) as unknown as FastifyInstance
  app.get('/other', async () => '')
  await app.register(cometd, { prefix, path })
  await app.ready()
  t.teardown(async () => await app.close())
  const match = urlMatch(app, `${prefix}/${path}`)
  return {
    matches: url => match({ url } as IncomingMessage),
    isRouted: async url => (await app.inject({ url, headers: { upgrade: 'websocket' } })).json<{ code?: string }>().code === 'COMETD_ERR_TRANSPORT_UNKNOWN'
  }
}

t.test('what is at the path or below it is told as the router tells it', async t => {
  const cases: Array<[object, string, string, string[], string[]]> = [
    [{}, '', '/cometd', ['/cometd', '/cometd?a=/b', '/cometd#a', '/cometd/', '/cometd/45.0', '/cometd/a/b?c', '/c%6fmetd', '/cometd/%zz', 'http://host/cometd/a', 'HTTPS://host:1/cometd'], ['/', '/comet', '/cometds', '/cometd.old', '/Cometd', '//cometd', '/other/cometd', '/cometd;a', 'http://host', '/%zz/cometd']],
    [{}, '/api', '/bayeux', ['/api/bayeux', '/api/bayeux/a'], ['/api', '/bayeux', '/api/bayeux2', '/x/bayeux']],
    [{}, '/api/', '/bayeux', ['/api/bayeux', '/api/bayeux/a'], ['/api//bayeux']],
    [{}, '/tenants/:id', '/cometd', ['/tenants/1/cometd', '/tenants/1/cometd/45.0', '/tenants/a%2Fb/cometd', '/tenants//cometd'], ['/tenants/cometd', '/tenants/1/2/cometd']],
    [{}, '/:from-:to/::at', '/cometd', ['/a-b/:at/cometd', '/a-b/:at/cometd/c'], ['/a-b/at/cometd']],
    [{}, '/:id(^([a-z]+)$)', '/cometd', ['/abc/cometd', '/abc/cometd/1'], ['/abc/d/cometd']],
    [{}, '/:id([^/]+)', '/cometd', ['/1/cometd', '/1/cometd/2'], ['/cometd']],
    [{}, '/größe', '/cometd', ['/gr%C3%B6%C3%9Fe/cometd'], ['/grosse/cometd']],
    [{}, '', '/', ['/', '/a', '/a/b', '/?a'], []],
    [{}, '/api', '/', ['/api', '/api/', '/api/a'], ['/', '/apis']],
    [{ routerOptions: { caseSensitive: false } }, '/API', '/cometd', ['/api/CometD', '/Api/cometd/A'], ['/apis/cometd']],
    [{ routerOptions: { ignoreTrailingSlash: true } }, '', '/cometd', ['/cometd', '/cometd/', '/cometd/a/'], ['/comet/']],
    [{ routerOptions: { ignoreDuplicateSlashes: true } }, '/api', '/cometd', ['//api///cometd', '/api//cometd//a'], ['//api']],
    [{ routerOptions: { compile: true } }, '/api', '/cometd', ['/api/cometd', '/api/cometd/45.0'], ['/cometd']],
    [{ routerOptions: { useSemicolonDelimiter: true } }, '', '/cometd', ['/cometd;a', '/cometd;a/b', '/cometd/a;b'], ['/comet;d']]
  ]
  for (const [fastify, prefix, path, are, areNot] of cases) {
    const { matches, isRouted } = await house(fastify, prefix, path)
    for (const [urls, expected] of [[are, true], [areNot, false]] as const) {
      for (const url of urls) {
        t.equal(matches(url), expected, `${prefix}${path}: ${url}`)
        // A URL that cannot be decoded is nobody's.
        if (!url.includes('%zz')) t.equal(await isRouted(url), expected, `${prefix}${path}: ${url}, routed`)
      }
    }
  }
})

t.test('what only the router knows is left to it', async t => {
  const { matches, isRouted } = await house({}, '/:id(^[0-9]+$)')
  t.equal(matches('/abc/cometd'), true)
  t.equal(await isRouted('/abc/cometd'), false)
})

t.test('options of the router are found where they used to stand, too', async t => {
  const { matches, isRouted } = await house({ caseSensitive: false, ignoreDuplicateSlashes: true, useSemicolonDelimiter: true })
  t.equal(matches('//COMETD;a'), true)
  t.equal(await isRouted('//COMETD;a'), true)
})

t.test('URLs count as the application rewrites them', async t => {
  const { matches, isRouted } = await house({ rewriteUrl: ({ url }: { url: string }) => url.replace(/^\/api(?=\/)/, '') })
  for (const url of ['/api/cometd/45.0', '/cometd']) {
    t.equal(matches(url), true)
    t.equal(await isRouted(url), true)
  }
  t.equal(matches('/apis/cometd'), false)
})

t.test('what Fastify does not keep is done without', async t => {
  const app = Fastify()
  t.equal(internal(app, 'fastify.nothing', 1), 1)
  t.strictSame(internal(Object.create(app), 'fastify.serverBindings', 1), [])
})
