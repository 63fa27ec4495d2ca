import { execFileSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { RemoteClients, withRuntime } from './remote.js'
import { testTransports } from './scenarios.js'

const PROGRAM = fileURLToPath(new URL('ruby/clients.rb', import.meta.url))

function missing (): string | undefined {
  try {
    execFileSync('ruby', ['-e', "require 'faye'"], { stdio: 'ignore' })
  } catch {
    return 'there is no faye for Ruby to test with: apt-get install ruby-faye'
  }
}

withRuntime(t, missing(), () => {
  testTransports(t, 'faye 1.4 for Ruby', RemoteClients.start(t, 'ruby', [PROGRAM]).peers(), {
    options: {
      // Its cookie jar takes no cookie with an attribute that it does not know.
      browserCookieSameSite: false,
      // As the faye of JavaScript.
      trustClientSession: true,
      timeout: 1_500
    }
  })
})
