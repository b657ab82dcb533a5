import { SeededRandom, silentLogger, VirtualTime } from '@barnabas/common';
import { MemoryStoreFactory } from '@barnabas/store';
import type { MemoryStore } from '@barnabas/store';
import { startRaft } from '../index.js';
import type { AppliedEntry, RaftNode, RaftOptions, StateMachine, StoredSnapshot } from '../index.js';

class Journal implements StateMachine {
  commands: string[] = [];
  leadership: (number | undefined)[] = [];
  restored = 0;

  apply(entries: readonly AppliedEntry[]): void {
    for (const { command } of entries) if (command !== null) this.commands.push(String(command));
  }
  snapshot(): Iterable<Uint8Array> {
    return this.commands.map((command) => Buffer.from(command));
  }
  async restore({ records }: StoredSnapshot): Promise<void> {
    this.commands = [];
    this.restored++;
    for await (const piece of records) for (const record of piece) this.commands.push(String(record));
  }
  onLeadership(term: number | undefined): void {
    this.leadership.push(term);
  }
}

describe('a quorum of one', () => {
  const factory = new MemoryStoreFactory();
  async function start(store: MemoryStore, extra: Partial<RaftOptions> = {}) {
    const time = new VirtualTime();
    const journal = new Journal();
    const node: RaftNode = await startRaft({
      nodeId: 1,
      clusterId: 'a',
      voters: [{ id: 1, endpoint: 'a:1' }],
      store,
      clock: time,
      timers: time,
      random: new SeededRandom(1),
      logger: silentLogger,
      stateMachine: journal,
      ...extra,
    });
    time.advance(0);
    for (let i = 0; i < 100; i++) await Promise.resolve();
    return { node, journal, time };
  }
  it('elects itself, commits, and finds everything again after a crash', async () => {
    const store = await factory.open('one');
    const { node, journal } = await start(store);
    expect(journal.leadership).toEqual([1]);
    const placed = await node.propose([Buffer.from('x'), Buffer.from('y')], { term: 1 });
    expect(placed).toEqual({ firstIndex: 2, lastIndex: 3, term: 1 });
    expect(journal.commands).toEqual(['x', 'y']);
    expect(await node.readBarrier()).toBe(3);
    store.crash();
    const again = await start(await factory.open('one'));
    expect(again.journal.leadership).toEqual([2]);
    expect(again.journal.commands).toEqual(['x', 'y']);
    await again.node.stop();
  });
});
