/** A machine with a broker: the real role on a simulated disk, with logs that tell the truth keeper what is done to them. */
import { createBroker } from '@barnabas/broker';
import type { ReplicaNode } from '@barnabas/broker/parts';
import { openLogManager } from '@barnabas/log';
import type { LogManager, LogManagerOptions } from '@barnabas/log';
import type { MetadataImage, MetadataSource } from '@barnabas/metadata';
import type { Role } from '@barnabas/rpc';
import type { StoreFactory } from '@barnabas/store';
import type { Surroundings } from '../surroundings.js';
import { RoleNode } from './role-node.js';
import type { LifeParts } from './role-node.js';

export class BrokerNode extends RoleNode {
  #node: ReplicaNode | undefined;
  #source: MetadataSource | undefined;
  #logs: LogManager | undefined;

  constructor(id: number, around: Surroundings) {
    super('broker', id, around);
  }

  /** From the opening of its logs on. */
  get node(): ReplicaNode | undefined {
    return this.#node;
  }

  get logs(): LogManager | undefined {
    return this.#logs;
  }

  get image(): MetadataImage | undefined {
    return this.#source?.image;
  }

  protected make({ environment, connector, files }: LifeParts): Role {
    const { plan, plant } = this.around;
    const factory = plant.files?.(files, this.around) ?? files;
    return createBroker({
      config: { ...plan.brokerConfig, 'node.id': this.id, 'broker.rack': `rack-${this.id % 2}` },
      ...{ environment, connector },
      openLogs: (options) => this.#openLogs(options, factory),
      coordinator: (options) => plant.coordinator?.(options, this.around) ?? options,
      observer: {
        onMetadata: (source) => (this.#source = source),
        onNode: (node) => (this.#node = node),
      },
    });
  }

  protected forget(): void {
    this.#node = undefined;
    this.#source = undefined;
    this.#logs = undefined;
  }

  async #openLogs(options: LogManagerOptions, factory: StoreFactory): Promise<LogManager> {
    const { plan, plant, truth } = this.around;
    const limits = { ...options.limits, idleCloseMs: plan.idleCloseMs, maxWriteBytes: 1000 };
    const logs = truth.watching(this.id, await openLogManager({ ...options, factory, limits }));
    this.#logs = plant.logs?.(logs, this.around) ?? logs;
    return this.#logs;
  }
}
