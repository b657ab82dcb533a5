/** A machine with a program on it that uses the real client. It is never at fault, and dies only if it is killed. */
import { BarnabasClient } from '@barnabas/client';
import { noMetrics } from '@barnabas/common';
import { createConnector } from '@barnabas/rpc';
import { Scope } from '../../kernel/scheduler.js';
import type { Host } from '../network/host.js';
import { simulatedLogger } from '../nodes/simulated-logger.js';
import type { Surroundings } from '../surroundings.js';

export class ClientProcess {
  readonly scope: Scope;
  readonly client: BarnabasClient;
  readonly #host: Host;

  constructor(
    private readonly around: Surroundings,
    /** Of the machine. */
    readonly name: string,
  ) {
    const { scheduler, dice, network, plan } = around;
    this.scope = new Scope(scheduler, name);
    this.#host = network.host(name);
    const logger = simulatedLogger(around, name);
    const connector = createConnector({
      ...{ clientId: name, local: network.from(this.#host, this.scope), logger },
      onFault: (fault) => around.fail(fault),
    });
    this.client = new BarnabasClient({
      bootstrap: Array.from({ length: plan.brokers }, (_, at) => `broker-${at + 1}:7700`),
      connector,
      environment: { clock: scheduler.clock(), timers: this.scope, random: dice, logger, metrics: noMetrics },
      requestTimeoutMs: 2000,
      defaultApiTimeoutMs: 10_000,
      socketConnectionSetupTimeoutMs: 2000,
    });
  }

  kill(): void {
    this.scope.end();
    this.around.network.died(this.#host, this.scope, 'kill');
  }
}
