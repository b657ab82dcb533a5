/** A snapshot on its way from sender to receiver, both as they are, over a network that the test is. */
import { present, silentLogger, SeededRandom, VirtualTime } from '@barnabas/common';
import { MemoryStoreFactory } from '@barnabas/store';
import type { InstallSnapshot } from '../core/index.js';
import type { SnapshotChunk, SnapshotChunkResponse } from '../peer-message.js';
import { formatStore } from '../storage/format.js';
import { RaftStorage } from '../storage/raft-storage.js';
import { SnapshotReceiver } from './snapshot-receiver.js';
import { SnapshotSender } from './snapshot-sender.js';

const MARK = { index: 50, term: 3 };
const CONFIGURATION = { voters: [{ id: 1, directoryId: 'one', endpoint: 'one:1' }], learners: [] };
const RECORDS = Array.from({ length: 20 }, (_, at) => `record ${at}`);
const SILENCE_MS = 1000;
const WINDOW = 4;
const INSTALL: InstallSnapshot = {
  ...{ type: 'installSnapshot', from: 1, fromDirectory: 'one', to: 2, toDirectory: 'two', term: 3 },
  ...{ snapshot: MARK, configuration: CONFIGURATION },
};

const turns = async (): Promise<void> => {
  for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve));
};

async function open(disks: MemoryStoreFactory, nodeId: number): Promise<RaftStorage> {
  const store = await disks.open(`node-${nodeId}`);
  await formatStore(store, { clusterId: 'castle', nodeId, initialVoters: [], random: new SeededRandom(nodeId) });
  return (await RaftStorage.open(store, { clusterId: 'castle', nodeId }, silentLogger)).storage;
}

class Transfer {
  readonly time = new VirtualTime();
  readonly chunks: SnapshotChunk[] = [];
  readonly answers: SnapshotChunkResponse[] = [];
  readonly installed: InstallSnapshot[] = [];
  ended = 0;

  private constructor(
    readonly there: RaftStorage,
    readonly sender: SnapshotSender,
    readonly receiver: SnapshotReceiver,
  ) {}

  static async begin(): Promise<Transfer> {
    const disks = new MemoryStoreFactory();
    const [here, there] = [await open(disks, 1), await open(disks, 2)];
    const writer = here.stage(MARK, CONFIGURATION, 9);
    for (const record of RECORDS) await writer.add(Buffer.from(record));
    await here.adopt(await writer.finish());
    const onFault = (error: unknown): never => {
      throw error;
    };
    const parts: { transfer?: Transfer } = {};
    const transfer = (): Transfer => present(parts.transfer, 'transfer');
    const sender = new SnapshotSender({
      ...{ storage: here, silenceMs: SILENCE_MS, windowChunks: WINDOW, awaitedBy: () => MARK.index, onFault },
      timers: { after: (delayMs, callback) => transfer().time.after(delayMs, callback) },
      send: (chunk) => transfer().chunks.push(chunk),
      onEnd: () => transfer().ended++,
    });
    const receiver = new SnapshotReceiver({
      ...{ storage: there, chunkBytes: 9, windowChunks: WINDOW, onFault },
      send: (answer) => transfer().answers.push(answer),
      onComplete: (install) => transfer().installed.push(install),
    });
    parts.transfer = new Transfer(there, sender, receiver);
    transfer().sender.begin(INSTALL);
    await turns();
    return transfer();
  }

  /** Pieces on their way arrive, as far as they are let through; then all answers do. */
  async exchange(passes: (chunk: SnapshotChunk) => boolean = () => true): Promise<void> {
    for (const chunk of this.chunks.splice(0)) if (passes(chunk)) this.receiver.onChunk(chunk);
    await turns();
    for (const answer of this.answers.splice(0)) this.sender.onResponse(answer);
    await turns();
  }

  async finish(): Promise<void> {
    for (let round = 0; round < 50 && this.installed.length === 0; round++) await this.exchange();
    expect(this.installed).toEqual([INSTALL]);
    const pointer = present(this.receiver.take(MARK), 'content');
    expect(pointer.configuration).toEqual(CONFIGURATION);
    await this.there.adopt(pointer);
    const records: string[] = [];
    for await (const piece of this.there.readSnapshot().records) records.push(...piece.map(String));
    expect(records).toEqual(RECORDS);
  }
}

const sequences = (chunks: readonly SnapshotChunk[]): number[] => chunks.map(({ sequence }) => sequence);

describe('a snapshot on its way', () => {
  it('is sent in a window of pieces, which each answer opens further', async () => {
    const transfer = await Transfer.begin();
    expect(sequences(transfer.chunks)).toEqual([0, 1, 2, 3]);
    transfer.receiver.onChunk(present(transfer.chunks.shift(), 'piece'));
    await turns();
    transfer.sender.onResponse(present(transfer.answers.shift(), 'answer'));
    await turns();
    expect(sequences(transfer.chunks)).toEqual([1, 2, 3, 4]);
    await transfer.finish();
  });

  it('arrives out of order', async () => {
    const transfer = await Transfer.begin();
    for (let round = 0; round < 50 && transfer.installed.length === 0; round++) {
      transfer.chunks.reverse();
      await transfer.exchange();
    }
    await transfer.finish();
  });

  it('has a lost piece sent again at once when a later one is answered', async () => {
    const transfer = await Transfer.begin();
    await transfer.exchange(({ sequence }) => sequence !== 1);
    expect(sequences(transfer.chunks)).toEqual([4]);
    // Piece 4 is answered by what is missing.
    await transfer.exchange();
    expect(sequences(transfer.chunks)).toEqual([1]);
    await transfer.finish();
    expect(transfer.time.monotonic()).toBe(0);
  });

  it('has the oldest piece sent again after a while when nothing is answered', async () => {
    const transfer = await Transfer.begin();
    await transfer.exchange(() => false);
    expect(transfer.chunks).toEqual([]);
    transfer.time.advance(SILENCE_MS / 4);
    expect(sequences(transfer.chunks)).toEqual([0]);
    await transfer.finish();
  });

  it('is given up when the follower is silent, and goes on from what the follower has', async () => {
    const transfer = await Transfer.begin();
    await transfer.exchange();
    await transfer.exchange();
    await transfer.exchange(() => false);
    transfer.time.advance(SILENCE_MS);
    expect(transfer.ended).toBe(1);
    transfer.chunks.length = 0;
    transfer.sender.begin(INSTALL);
    await turns();
    expect(sequences(transfer.chunks)).toEqual([0, 1, 2, 3]);
    await transfer.exchange();
    const next = Math.min(...sequences(transfer.chunks));
    expect(next).toBeGreaterThan(4);
    await transfer.finish();
  });

  it('gives way to a newer one, and late pieces of the old one do not bring it back', async () => {
    const transfer = await Transfer.begin();
    const old = transfer.chunks.slice();
    await transfer.exchange(({ sequence }) => sequence < 2);
    const newer: SnapshotChunk = {
      ...present(old[0], 'piece'),
      ...{ snapshot: { index: 60, term: 3 }, sequence: 0, last: true, records: [Buffer.from('newer')] },
    };
    transfer.receiver.onChunk(newer);
    await turns();
    expect(transfer.installed.map(({ snapshot }) => snapshot.index)).toEqual([60]);
    transfer.answers.length = 0;
    transfer.receiver.onChunk({ ...newer, snapshot: { index: 70, term: 3 }, last: false });
    await turns();
    transfer.receiver.onChunk(present(old[0], 'piece'));
    await turns();
    expect(transfer.answers.map(({ snapshot, nextSequence }) => [snapshot.index, nextSequence])).toEqual([
      [70, 1],
      [50, 0],
    ]);
  });
});
