/** A machine with a program on it that uses the real client. It is never at fault and never dies. */
import { BarnabasClient } from '@barnabas/client';
import { noMetrics } from '@barnabas/common';
import { createConnector } from '@barnabas/rpc';
import { Scope } from '../../kernel/scheduler.js';
import { simulatedLogger } from '../nodes/simulated-logger.js';
import type { Surroundings } from '../surroundings.js';

export class ClientProcess {
  readonly scope: Scope;
  readonly client: BarnabasClient;

  constructor(around: Surroundings, name: string) {
    const { scheduler, dice, network, plan } = around;
    this.scope = new Scope(scheduler, name);
    const logger = simulatedLogger(around, name);
    const connector = createConnector({
      ...{ clientId: name, local: network.from(network.host(name), this.scope), logger },
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
}
