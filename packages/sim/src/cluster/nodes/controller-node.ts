/** A machine with a controller: the real role on a simulated disk. */
import { createController } from '@barnabas/controller';
import type { ControllerRuntime } from '@barnabas/controller';
import type { MetadataImage } from '@barnabas/metadata';
import type { Role } from '@barnabas/rpc';
import type { Surroundings } from '../surroundings.js';
import { RoleNode } from './role-node.js';
import type { LifeParts } from './role-node.js';

export class ControllerNode extends RoleNode {
  #runtime: ControllerRuntime | undefined;

  constructor(id: number, around: Surroundings) {
    super('controller', id, around);
  }

  /** What it has of the committed metadata log. */
  get image(): MetadataImage | undefined {
    return this.#runtime?.timeline.committed;
  }

  get isActive(): boolean {
    return this.#runtime?.isActive === true;
  }

  protected make({ environment, connector, files }: LifeParts): Role {
    const { plan, plant } = this.around;
    return createController({
      config: { ...plan.controllerConfig, ...plant.controllerConfig, 'node.id': this.id },
      ...{ environment, connector, store: files },
      observer: (runtime) => (this.#runtime = runtime),
    });
  }

  protected forget(): void {
    this.#runtime = undefined;
  }
}
