/** Finds ports that nobody listens on, for nodes whose addresses must be known before they start. */
import { once } from 'node:events';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';

/** `count` different free ports. They are free when found; somebody else may take one before it is used. */
export async function freePorts(host: string, count: number): Promise<readonly number[]> {
  // All are held at once, or the system could give the same one twice.
  const servers = Array.from({ length: count }, () => createServer());
  try {
    await Promise.all(
      servers.map(async (server) => {
        server.listen(0, host);
        await once(server, 'listening');
      }),
    );
    return servers.map((server) => (server.address() as AddressInfo).port);
  } finally {
    await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  }
}
