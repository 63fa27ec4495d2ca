declare module 'fastify' {
  interface Session {
    /** Who has logged in. */
    name?: string
  }
}

export {}
