/** Free ports of this machine. */
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';

/** Ports that nobody uses: for nodes that must know each other's before they start. */
export async function freePorts(count: number): Promise<readonly number[]> {
  // All are held at once, or the system could give the same one twice.
  const servers = Array.from({ length: count }, () => createServer());
  await Promise.all(servers.map((server) => new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))));
  const ports = servers.map((server) => (server.address() as AddressInfo).port);
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  return ports;
}
/** Below those that the system gives to connections that are dialled, on Linux and elsewhere. */
const STABLE = { least: 10_000, most: 30_000 };

/**
 * Ports for processes that are killed and started again: while one is down, no connection that
 * somebody dials may be given its port.
 */
export async function stablePorts(count: number): Promise<readonly number[]> {
  const ports: number[] = [];
  while (ports.length < count) {
    const port = STABLE.least + Math.floor(Math.random() * (STABLE.most - STABLE.least));
    if (!ports.includes(port) && (await isFree(port))) ports.push(port);
  }
  return ports;
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)));
  });
}
