/** A process with services at addresses, and time that tests move. */
import { SeededRandom, VirtualTime, noMetrics, silentLogger } from '@barnabas/common';
import { createConnector, LocalNetwork } from '@barnabas/rpc';
import type { Connector, ServiceRegistration } from '@barnabas/rpc';

export class TestNetwork {
  readonly time = new VirtualTime();
  readonly connector: Connector;
  readonly environment;
  readonly #local = new LocalNetwork();

  constructor() {
    this.connector = createConnector({ local: this.#local });
    const { time } = this;
    this.environment = {
      clock: time,
      timers: time,
      random: new SeededRandom(1),
      logger: silentLogger,
      metrics: noMetrics,
    };
  }

  serve(address: string, ...services: ServiceRegistration[]): void {
    this.#local.register(address, services);
  }

  /** Lets everything happen that waits for nothing but its turn. */
  async settle(): Promise<void> {
    for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve));
  }

  /** Moves time on until the promise is settled. */
  async until<T>(promise: Promise<T>): Promise<T> {
    let settled = false;
    const done = () => {
      settled = true;
    };
    promise.then(done, done);
    for (await this.settle(); !settled; await this.settle()) this.time.advance(50);
    return promise;
  }

  close(): void {
    this.connector.close();
  }
}
