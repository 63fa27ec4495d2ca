import neostandard from 'neostandard'

// The way of a message goes forward only: schemas ← bayeux ← transports ← plugin/index.ts.
const forwardOnly = (files, patterns) => ({
  files,
  rules: { 'no-restricted-imports': ['error', { patterns: [{ group: patterns, message: 'Imports go forward only: see docs/architecture.md.' }] }] }
})

export default [
  ...neostandard({ ts: true, ignores: ['dist', '.tap', '.build', 'coverage', 'benchmarks/results'] }),
  // A TypeBox schema and its Static type share one name: export const Message / export type Message.
  { files: ['**/*.ts'], rules: { '@typescript-eslint/no-redeclare': 'off' } },
  forwardOnly(['schemas/**/*.ts'], ['**/plugin/**', 'fastify', 'fastify-plugin']),
  forwardOnly(['plugin/bayeux/**/*.ts'], ['**/transports/**', '../index.js', '../../index.js', 'fastify', 'fastify-plugin', 'node:http', 'node:http2']),
  forwardOnly(['plugin/transports/**/*.ts'], ['../index.js', '../standalone.js'])
]
