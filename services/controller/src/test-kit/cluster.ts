/** A controller in memory with real Raft under it, and what a broker or a gateway would use to talk to it. For tests. */
import { silentLogger } from '@barnabas/common';
import type { Clock } from '@barnabas/common';
import { noMetrics, SeededRandom, VirtualTime } from '@barnabas/common';
import { systemTimers } from '@barnabas/common/node';
import { ControllerClient, ControllerDirectory, MetadataFollower } from '@barnabas/metadata/follower';
import { createConnector, LocalNetwork } from '@barnabas/rpc';
import type { Connector, Environment, Role } from '@barnabas/rpc';
import { MemoryStoreFactory } from '@barnabas/store';
import type { StoreFactory } from '@barnabas/store';
import { controllerConfig, createController } from '../index.js';

export interface TestController {
  readonly role: Role;
  readonly connector: Connector;
  readonly client: ControllerClient;
  follower(): MetadataFollower;
  stop(): Promise<void>;
}

export interface TestControllerOptions {
  readonly config?: Readonly<Record<string, unknown>>;
  readonly store?: StoreFactory;
  readonly clock?: Clock;
}

const ADDRESS = { host: '127.0.0.1', port: 7800 };
const VOTERS = [{ id: 1, ...ADDRESS }];

/** A clock that tests move, with timers that really fire: Raft's ticks need no time to pass. */
export function environmentFor(clock: Clock = new VirtualTime()): Environment {
  return { clock, timers: systemTimers, random: new SeededRandom(1), logger: silentLogger, metrics: noMetrics };
}

export async function startController(options: TestControllerOptions = {}): Promise<TestController> {
  const local = new LocalNetwork();
  const connector = createConnector({ local });
  const environment = environmentFor(options.clock);
  const store = options.store ?? new MemoryStoreFactory();
  const config = controllerConfig.parse({ 'node.id': 1, 'metadata.log.dir': 'metadata', ...options.config });
  const role = createController({ config, environment, connector, store });
  local.register(`${ADDRESS.host}:${ADDRESS.port}`, role.services);
  await role.start(ADDRESS);
  const followers: MetadataFollower[] = [];
  return {
    role,
    connector,
    client: new ControllerClient({ connector, controllers: new ControllerDirectory(VOTERS), ...environment }),
    follower() {
      const follower = new MetadataFollower({
        connector,
        controllers: new ControllerDirectory(VOTERS),
        nodeId: -1,
        ...environment,
      });
      followers.push(follower);
      return follower;
    },
    async stop() {
      for (const follower of followers) follower.stop();
      await role.stop(1000);
      connector.close();
    },
  };
}
