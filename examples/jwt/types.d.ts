declare module '@fastify/jwt' {
  interface FastifyJWT {
    /** What a token says: whose it is, and when it ends, in seconds since 1970. */
    payload: { sub: string, exp?: number }
  }
}

export {}
