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
