# Clients of faye for Ruby, told what to do by lines of JSON on the standard input: see ../remote.ts.
require 'eventmachine'
require 'faye'
require 'json'

module Program
  include EventMachine::Protocols::LineText2

  CLIENTS = {}
  SUBSCRIPTIONS = {}

  def self.say(line)
    $stdout.puts(JSON.generate(line))
    $stdout.flush
  end

  def self.settle(id, deferrable)
    deferrable.callback { say(id: id) }
    deferrable.errback { |error| say(id: id, error: error.to_s) }
  end

  def receive_line(text)
    line = JSON.parse(text)
    id = line['id']
    client = CLIENTS[line['peer']]
    case line['action']
    when 'make'
      client = Faye::Client.new(line['url'], retry: 0.1, timeout: 5)
      client.disable('websocket') unless line['transports'].include?('websocket')
      CLIENTS[line['peer']] = client
      Program.say(id: id)
    when 'open'
      client.connect { Program.say(id: id, value: dispatcher(client).client_id) }
    when 'transport'
      Program.say(id: id, value: dispatcher(client).connection_type)
    when 'subscribe'
      subscription = client.subscribe(line['channel']).with_channel do |channel, data|
        Program.say(listener: line['subscription'], channel: channel, data: data)
      end
      SUBSCRIPTIONS[line['subscription']] = subscription
      Program.settle(id, subscription)
    when 'unsubscribe'
      SUBSCRIPTIONS.delete(line['subscription']).cancel
      Program.say(id: id)
    when 'publish'
      Program.settle(id, client.publish(line['channel'], line['data'], attempts: 1))
    when 'startBatch', 'endBatch'
      # It collects by itself what is sent in one turn.
      Program.say(id: id)
    when 'close'
      close(id, client)
    end
  end

  def unbind
    EventMachine.stop
  end

  private

  def dispatcher(client)
    client.instance_variable_get(:@dispatcher)
  end

  # A client whose session the server has ended is told so, and goes on.
  def close(id, client)
    done = proc do
      dispatcher(client).close
      Program.say(id: id)
    end
    disconnected = client.disconnect
    return done.call unless disconnected.respond_to?(:errback)

    disconnected.callback(&done)
    disconnected.errback(&done)
  end
end

EventMachine.run { EventMachine.attach($stdin, Program) }
