/** The stores on a simulated disk as one process opens them: every call is an event of its own. */
import type { KeyValueStore, OpenOptions, StoreFactory } from '@barnabas/store';
import type { Scope } from '../kernel/scheduler.js';
import { MountedStore } from './mounted-store.js';
import type { SimulatedDisk } from './simulated-disk.js';

export class MountedFactory implements StoreFactory {
  constructor(
    private readonly disk: SimulatedDisk,
    private readonly scope: Scope,
  ) {}

  async open(location: string, options?: OpenOptions): Promise<KeyValueStore> {
    await this.scope.delay(this.disk.readMs(), `disk open ${location}`);
    const store = await this.disk.files.open(location, options);
    return new MountedStore(store, this.disk, this.scope);
  }

  async openReadOnly(location: string): Promise<KeyValueStore> {
    await this.scope.delay(this.disk.readMs(), `disk open read-only ${location}`);
    return this.disk.files.openReadOnly(location);
  }

  async destroy(location: string): Promise<void> {
    await this.scope.delay(this.disk.writeMs(), `disk destroy ${location}`);
    await this.disk.files.destroy(location);
  }

  async list(directory: string): Promise<string[]> {
    await this.scope.delay(this.disk.readMs(), `disk list ${directory}`);
    return this.disk.files.list(directory);
  }

  async rename(from: string, to: string): Promise<void> {
    await this.scope.delay(this.disk.writeMs(), `disk rename ${from}`);
    await this.disk.files.rename(from, to);
  }
}
