/**
 * A quorum whose leader is in this process, as in a node of all roles: callers in it pay for no message
 * of their own, so that what is measured is deciding, group commit, and replication to two others, which
 * are processes of their own behind real sockets.
 */
import { systemClock, systemRandom, systemTimers } from '@barnabas/common/node';
import { noMetrics, silentLogger } from '@barnabas/common';
import { controllerConfig, createController } from '@barnabas/controller';
import { toBarnabasError, v1 } from '@barnabas/protocol';
import { LocalNetwork, createConnector, serve } from '@barnabas/rpc';
import type { RunningServer } from '@barnabas/rpc';
import { levelStoreFactory } from '@barnabas/store';
import fs from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Controllers } from '../quorum/controllers.js';

const HERE = 1;

export class LocalLeader {
  private constructor(
    private readonly others: Controllers,
    private readonly server: RunningServer,
    private readonly role: ReturnType<typeof createController>,
    readonly admin: ReturnType<Controllers['admin']>,
  ) {}

  static async start(directory: string, electionTimeoutMs: number): Promise<LocalLeader> {
    const dataDir = path.join(directory, 'local-leader');
    fs.mkdirSync(dataDir, { recursive: true });
    const others = await Controllers.start({ dataDir, electionTimeoutMs, absent: HERE });
    const local = new LocalNetwork();
    const connector = createConnector({ local });
    const role = createController({
      config: controllerConfig.parse({
        ...others.settings,
        'node.id': HERE,
        'cluster.id': others.clusterId,
        'controller.listeners': `CONTROLLER://${others.address(HERE)}`,
        'metadata.log.dir': path.join(dataDir, `controller-${HERE}`),
      }),
      environment: {
        clock: systemClock,
        timers: systemTimers,
        random: systemRandom,
        logger: silentLogger,
        metrics: noMetrics,
      },
      connector,
      store: levelStoreFactory,
    });
    const [host = '', port = ''] = others.address(HERE).split(':');
    const server = await serve({ listen: { host, port: Number(port) }, services: role.services });
    local.register(others.address(HERE), role.services);
    await role.start({ host, port: Number(port) });
    const admin = connector.channel(others.address(HERE)).client(v1.AdminServiceDefinition);
    const leader = new LocalLeader(others, server, role, admin);
    await leader.#lead();
    return leader;
  }

  async stop(): Promise<void> {
    await this.role.stop(1_000);
    await this.server.stop(0);
    await this.others.close();
  }

  async #lead(): Promise<void> {
    const leaderId = await this.others.untilLevel();
    if (leaderId !== HERE) {
      await this.others.admin(leaderId).transferQuorumLeadership({ to: HERE, timeoutMs: 10_000 });
    }
    // It decides once everything of earlier terms is applied.
    while (!(await this.#decides())) await sleep(10);
  }

  async #decides(): Promise<boolean> {
    try {
      await this.admin.incrementalAlterConfigs({ resources: [], validateOnly: true });
      return true;
    } catch (error) {
      if (toBarnabasError(error).errorName === 'NOT_CONTROLLER') return false;
      throw error;
    }
  }
}
