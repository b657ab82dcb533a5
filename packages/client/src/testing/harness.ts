/** A fake cluster, a client of it in virtual time, and the clean-up of both. */
import { BarnabasClient } from '../client.js';
import type { ClientOptions } from '../options/client-options.js';
import { FakeCluster } from './fake-cluster.js';
import type { FakeClusterOptions } from './fake-cluster.js';
import { runUntil, testEnvironment } from './test-environment.js';
import type { TestEnvironment } from './test-environment.js';

export interface HarnessOptions extends FakeClusterOptions {
  readonly seed?: number;
  /** Whom the client asks first. Default all brokers. */
  readonly bootstrap?: 'brokers' | 'gateway';
  readonly client?: ClientOptions;
}

export class Harness {
  readonly cluster: FakeCluster;
  readonly environment: TestEnvironment;
  readonly client: BarnabasClient;

  constructor(options: HarnessOptions = {}) {
    const { seed, bootstrap = 'brokers', client = {}, ...cluster } = options;
    this.environment = testEnvironment(seed);
    this.cluster = new FakeCluster({ timers: this.environment.time, ...cluster });
    this.client = new BarnabasClient({
      bootstrap: bootstrap === 'gateway' ? this.cluster.gatewayAddress : this.cluster.bootstrap,
      connector: this.cluster.connector,
      environment: this.environment,
      ...client,
    });
  }

  /** Moves time until the promise is settled, and gives what it gave. */
  run<T>(promise: Promise<T>): Promise<T> {
    return runUntil(this.environment, promise);
  }

  async close(): Promise<void> {
    await this.run(this.client.close(1_000));
    this.cluster.close();
  }
}
