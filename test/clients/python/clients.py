"""Clients of aiocometd, told what to do by lines of JSON on the standard input: see ../remote.ts.

The argument is the name of the module: that of aiocometd, or of a fork."""
import asyncio
import importlib
import json
import sys


def without_loop(function):
    def call(*args, loop=None, **kwargs):
        return function(*args, **kwargs)
    return call


# Python 3.10 has removed an argument that aiocometd uses.
if sys.argv[1] == 'aiocometd':
    for name in ('Semaphore', 'sleep', 'wait', 'wait_for'):
        setattr(asyncio, name, without_loop(getattr(asyncio, name)))

library = importlib.import_module(sys.argv[1])

clients = {}


def say(line):
    print(json.dumps(line), flush=True)


def matches(pattern, channel):
    if pattern.endswith('/**'):
        return channel.startswith(pattern[:-2])
    if pattern.endswith('/*'):
        return channel.startswith(pattern[:-1]) and '/' not in channel[len(pattern) - 1:]
    return pattern == channel


class Client:
    def __init__(self, url, transports):
        types = [library.ConnectionType(name) for name in transports]
        # Its cookie jar keeps no cookies of addresses.
        self.client = library.Client(url.replace('127.0.0.1', 'localhost'), types)
        self.subscriptions = {}
        self.receiving = None

    async def open(self):
        await self.client.open()
        self.receiving = asyncio.ensure_future(self.receive())
        return self.client._transport.client_id

    async def receive(self):
        while not self.client.closed:
            try:
                message = await self.client.receive()
            except Exception as error:
                print(repr(error), file=sys.stderr, flush=True)
                continue
            for number, pattern in list(self.subscriptions.items()):
                if matches(pattern, message['channel']):
                    say({'listener': number, 'channel': message['channel'], 'data': message['data']})

    async def subscribe(self, channel, number):
        self.subscriptions[number] = channel
        await self.client.subscribe(channel)

    async def unsubscribe(self, number):
        await self.client.unsubscribe(self.subscriptions.pop(number))

    async def close(self):
        await self.client.close()
        if self.receiving is not None:
            self.receiving.cancel()


async def act(line):
    client = clients.get(line['peer'])
    action = line['action']
    if action == 'make':
        clients[line['peer']] = Client(line['url'], line['transports'])
    elif action == 'open':
        return await client.open()
    elif action == 'transport':
        return client.client.connection_type.value
    elif action == 'subscribe':
        await client.subscribe(line['channel'], line['subscription'])
    elif action == 'unsubscribe':
        await client.unsubscribe(line['subscription'])
    elif action == 'publish':
        await client.client.publish(line['channel'], line['data'])
    elif action == 'close':
        await client.close()
    # It has no batches.
    return None


async def answer(line):
    try:
        say({'id': line['id'], 'value': await act(line)})
    except Exception as error:
        say({'id': line['id'], 'error': repr(error)})


async def main():
    reader = asyncio.StreamReader(limit=2 ** 24)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    tasks = set()
    while line := await reader.readline():
        task = asyncio.ensure_future(answer(json.loads(line)))
        tasks.add(task)
        task.add_done_callback(tasks.discard)


asyncio.run(main())
