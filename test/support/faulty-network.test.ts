/** The network that chaos runs break: real sockets, virtual time. */
import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import type { AddressInfo, Server, Socket } from 'node:net';
import { VirtualTime } from '@barnabas/common';
import { FaultyNetwork } from './faulty-network';
import { canTellOwners, ownerOf } from './socket-owner';

let time: VirtualTime;
let network: FaultyNetwork;
let node: Server;
let accepted: Socket[];
let port: number;
let clients: Socket[];

beforeEach(async () => {
  time = new VirtualTime();
  network = new FaultyNetwork({ clock: time, timers: time, whoDials: () => 'a' });
  accepted = [];
  clients = [];
  node = createServer((socket) => {
    socket.on('error', () => {});
    accepted.push(socket);
  });
  await new Promise<void>((resolve) => node.listen(0, '127.0.0.1', resolve));
  port = await network.open('b', (node.address() as AddressInfo).port);
});
afterEach(async () => {
  for (const client of clients) client.destroy();
  await network.close();
  await new Promise((resolve) => node.close(resolve));
});

async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await new Promise((resolve) => setImmediate(resolve));
}

function dial(): Socket {
  const client = connect(port, '127.0.0.1');
  client.on('error', () => {});
  clients.push(client);
  return client;
}

/** A connection from a to b, and what each side has received. */
async function connected() {
  const client = dial();
  await until(() => accepted.length === clients.length);
  const server = accepted.at(-1) as Socket;
  const got = { client: '', server: '' };
  client.on('data', (bytes: Buffer) => (got.client += bytes.toString()));
  server.on('data', (bytes: Buffer) => (got.server += bytes.toString()));
  return { client, server, got };
}

it('passes bytes both ways, and the end', async () => {
  const { client, server, got } = await connected();
  client.write('ping');
  await until(() => got.server === 'ping');
  server.write('pong');
  await until(() => got.client === 'pong');
  client.end('bye');
  await once(server, 'end');
  expect(got.server).toBe('pingbye');
});

it('holds what goes along a cut link, that way only, and delivers it when the link is mended', async () => {
  const { client, server, got } = await connected();
  network.link('a', 'b').cut();
  client.write('held');
  await until(() => network.link('a', 'b').heldBytes === 4);
  server.write('passes');
  await until(() => got.client === 'passes');
  expect(got.server).toBe('');
  network.link('a', 'b').mend();
  await until(() => got.server === 'held');
});

it('is whole again only when each of several cuts is mended', async () => {
  const { client, got } = await connected();
  const link = network.link('a', 'b');
  link.cut();
  link.cut();
  client.write('held');
  await until(() => link.heldBytes === 4);
  link.mend();
  expect(link.isCut).toBe(true);
  expect(link.heldBytes).toBe(4);
  link.mend();
  await until(() => got.server === 'held');
});

it('does not tell of an end across a cut link', async () => {
  const { client, server } = await connected();
  let told = false;
  client.on('close', () => (told = true));
  network.link('b', 'a').cut();
  server.resetAndDestroy();
  await once(server, 'close');
  expect(told).toBe(false);
  network.link('b', 'a').mend();
  await until(() => told);
});

it('lets a connection across a cut link hang until it is mended', async () => {
  network.link('b', 'a').cut();
  const client = dial();
  await once(client, 'connect');
  client.write('first');
  const another = connect((node.address() as AddressInfo).port, '127.0.0.1');
  clients.push(another);
  await until(() => accepted.length === 1); // The straight one alone.
  network.link('b', 'a').mend();
  network.dialPending();
  await until(() => accepted.length === 2);
  const [bytes] = (await once(accepted[1] as Socket, 'data')) as [Buffer];
  expect(bytes.toString()).toBe('first');
});

it('delays, and lets bytes wait for the width of the link', async () => {
  const { client, got } = await connected();
  const link = network.link('a', 'b');
  link.slow({ delayMs: 50, bytesPerSecond: 100 });
  client.write('0123456789');
  await until(() => link.heldBytes === 10);
  time.advance(149);
  expect(link.heldBytes).toBe(10);
  time.advance(1);
  await until(() => got.server === '0123456789');
});

it('refuses for a node that does not listen, and resets on demand', async () => {
  const { client } = await connected();
  network.reset('b', 'a');
  await until(() => client.closed);
  await new Promise((resolve) => node.close(resolve));
  const refused = dial();
  await until(() => refused.closed);
});

(canTellOwners ? it : it.skip)('is told which process dials', async () => {
  const owners: (number | undefined)[] = [];
  const server = createServer((socket) => {
    owners.push(ownerOf(socket, [1, process.pid]), ownerOf(socket, [1]));
    socket.destroy();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  await once(connect((server.address() as AddressInfo).port, '127.0.0.1'), 'close');
  await new Promise((resolve) => server.close(resolve));
  expect(owners).toEqual([process.pid, undefined]);
});
