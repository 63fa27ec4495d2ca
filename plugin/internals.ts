/**
 * What Fastify keeps on its root instance by a symbol of its own, since it does not tell it in any other way. `otherwise` is what
 * whoever asks can do with if there is no such thing (any more).
 */
export function internal<T> (instance: object | null, description: string, otherwise: T): T {
  if (instance === null) return otherwise
  const symbol = Object.getOwnPropertySymbols(instance).find(symbol => symbol.description === description)
  return symbol === undefined ? internal(Object.getPrototypeOf(instance), description, otherwise) : (instance as Record<symbol, T>)[symbol] as T
}
