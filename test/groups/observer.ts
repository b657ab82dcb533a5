/**
 * Asks again and again, from outside, what the group has committed and who owns what. A node that cannot be
 * asked at the moment is no finding: it is asked again.
 */
import { setImmediate as turn, setTimeout as sleep } from 'node:timers/promises';
import type { Admin, GroupDescription } from '@barnabas/client';
import type { GroupEvent } from './history.js';

export interface ObserverOptions {
  readonly admin: Admin;
  readonly group: string;
  readonly topic: string;
  readonly onEvent: (event: GroupEvent) => void;
}

const EVERY_MS = 250;
const TIMEOUT_MS = 10_000;
/** Of the event loop: after so many, what members had printed before the answer came is read. */
const TURNS = 5;

export class Observer {
  readonly #options: ObserverOptions;
  #isStopped = false;
  asked = 0;
  /** The group as it was last told. */
  description: GroupDescription | undefined;

  constructor(options: ObserverOptions) {
    this.#options = options;
  }

  async run(): Promise<void> {
    while (!this.#isStopped) {
      try {
        await this.look();
      } catch {
        // Asked again.
      }
      await sleep(EVERY_MS);
    }
  }

  stop(): void {
    this.#isStopped = true;
  }

  /** Once. Looks come one after another, or a late answer would look like a commit that goes back. */
  async look(): Promise<GroupDescription> {
    const { admin, group, topic, onEvent } = this.#options;
    const offsets = await admin.listGroupOffsets(group, { timeoutMs: TIMEOUT_MS });
    for (let left = TURNS; left > 0; left--) await turn();
    const atMs = performance.now();
    for (const { topic: name, partition, offset } of offsets) {
      if (name === topic && offset >= 0) onEvent({ kind: 'committed', atMs, partition, offset });
    }
    const askedMs = performance.now();
    const [description] = await admin.describeGroups([group], { timeoutMs: TIMEOUT_MS });
    if (description === undefined) throw new Error('the group is not described');
    for (let left = TURNS; left > 0; left--) await turn();
    this.#tellOfOwners(description, askedMs);
    this.description = description;
    this.asked++;
    return description;
  }

  #tellOfOwners({ members }: GroupDescription, askedMs: number): void {
    const owners = new Map<number, string[]>();
    for (const { memberId, assignment } of members) {
      for (const { partition } of assignment) owners.set(partition, [...(owners.get(partition) ?? []), memberId]);
    }
    this.#options.onEvent({ kind: 'owners', askedMs, atMs: performance.now(), owners: [...owners] });
  }
}
