/** Commands against a cluster in memory. */
import { BarnabasClient } from '@barnabas/client';
import type { ClientOptions } from '@barnabas/client';
import { FakeCluster } from '@barnabas/client/testing';
import type { FakeClusterOptions, FakePartition } from '@barnabas/client/testing';
import { run } from './captured-terminal.js';
import type { Ran, RunOptions } from './captured-terminal.js';

export class FakeClusterCli {
  readonly cluster: FakeCluster;

  constructor(options: FakeClusterOptions) {
    this.cluster = new FakeCluster(options);
  }

  /** Runs a command line to its end. */
  run(argv: readonly string[], options: RunOptions = {}): Promise<Ran> {
    return run(argv, { connect: (given) => this.client(given.environment), ...options });
  }

  client(environment?: ClientOptions['environment']): BarnabasClient {
    const { bootstrap, connector } = this.cluster;
    return new BarnabasClient({ bootstrap, connector, environment });
  }

  /** The same, with what it printed as JSON. */
  async json(argv: readonly string[], options: RunOptions = {}): Promise<unknown> {
    return JSON.parse((await this.run([...argv, '--json'], options)).out);
  }

  partition(topic: string, partition: number): FakePartition {
    return this.cluster.partition(topic, partition);
  }

  /** Gives a partition its replicas; the first leads. */
  place(topic: string, partition: number, replicas: readonly number[], isr = replicas): void {
    const placed = this.partition(topic, partition);
    this.cluster.replicas.set(placed, replicas, isr);
    this.cluster.moveLeader(topic, partition, replicas[0] ?? -1);
  }

  close(): void {
    this.cluster.close();
  }
}
