/**
 * A child process of the benchmarks: makes an image of so many partitions, has a real Raft node write
 * it as a snapshot into LevelDB, starts that node again, and says how long each took and how much
 * memory the process had grown by.
 */
import { SeededRandom, silentLogger } from '@barnabas/common';
import { systemClock, systemTimers } from '@barnabas/common/node';
import { emptyImage, MetadataDelta, snapshotChunks, SnapshotLoader } from '@barnabas/metadata';
import type { MetadataImage } from '@barnabas/metadata';
import { internal } from '@barnabas/protocol';
import { startRaft } from '@barnabas/raft';
import type { RaftNode, StateMachine, StoredSnapshot } from '@barnabas/raft';
import { levelStoreFactory } from '@barnabas/store';
import type { KeyValueStore } from '@barnabas/store';
import { performance } from 'node:perf_hooks';

export interface SnapshotFigures {
  readonly partitions: number;
  readonly bytes: number;
  readonly writeMs: number;
  readonly loadMs: number;
  /** Of the image alone, as the process grew by it. */
  readonly imageBytes: number;
  /** The most that the process had, in memory, at any time. */
  readonly peakBytes: number;
}

const PARTITIONS_A_TOPIC = 1_000;
const PIECE_BYTES = 128 * 1024;

class Holder implements StateMachine {
  bytes = 0;
  constructor(public image: MetadataImage) {}
  apply(): void {}
  onLeadership(): void {}
  *snapshot(): Generator<Uint8Array, void, undefined> {
    for (const chunk of snapshotChunks(this.image, PIECE_BYTES)) {
      const bytes = internal.MetadataSnapshotChunk.encode(chunk).finish();
      this.bytes += bytes.length;
      yield bytes;
    }
  }
  async restore({ records }: StoredSnapshot): Promise<void> {
    const loader = new SnapshotLoader();
    for await (const pieces of records) {
      for (const piece of pieces) {
        const image = loader.add(internal.MetadataSnapshotChunk.decode(piece));
        if (image !== undefined) this.image = image;
      }
    }
  }
}

function imageOf(partitions: number): MetadataImage {
  let image: MetadataImage = emptyImage;
  for (let first = 0; first < partitions; first += PARTITIONS_A_TOPIC) {
    const delta = new MetadataDelta(image);
    const topicId = Buffer.alloc(16, String(first)).toString('base64url');
    delta.replay({ record: { $case: 'topic', topic: { name: `topic-${first}`, topicId } } });
    const count = Math.min(PARTITIONS_A_TOPIC, partitions - first);
    for (let partition = 0; partition < count; partition++) {
      const replicas = [0, 1, 2].map((at) => (partition + at) % 9);
      const record = { topicId, partition, replicas, isr: replicas, leader: replicas[0] ?? 0 };
      delta.replay({ record: { $case: 'partition', partition: internal.PartitionRecord.create(record) } });
    }
    image = delta.apply({ offset: image.offset + count + 1, term: 1 });
  }
  return image;
}

function start(store: KeyValueStore, stateMachine: StateMachine): Promise<RaftNode> {
  return startRaft({
    ...{ nodeId: 1, clusterId: 'bench', endpoint: '127.0.0.1:1', store, stateMachine, logger: silentLogger },
    initialVoters: [{ id: 1, endpoint: '127.0.0.1:1' }],
    ...{ clock: systemClock, timers: systemTimers, random: new SeededRandom(1) },
    // The first entry is enough for a snapshot.
    config: { snapshotAfterBytes: 1 },
  });
}

async function main(location: string, partitions: number): Promise<SnapshotFigures> {
  const before = process.memoryUsage().rss;
  const holder = new Holder(imageOf(partitions));
  const imageBytes = process.memoryUsage().rss - before;
  const store = await levelStoreFactory.open(location);
  const node = await start(store, holder);
  const started = performance.now();
  // The node's own first entry is applied, and a snapshot is due.
  while (node.status.snapshotIndex === 0) await new Promise((resolve) => setTimeout(resolve, 2));
  const writeMs = performance.now() - started;
  const { bytes } = holder;
  await node.stop();
  await store.close();

  const again = await levelStoreFactory.open(location);
  const loaded = new Holder(emptyImage);
  const loadStarted = performance.now();
  const second = await start(again, loaded);
  const loadMs = performance.now() - loadStarted;
  await second.stop();
  await again.close();
  const [one, other] = [holder.image.topics.idsByName.size, loaded.image.topics.idsByName.size];
  if (one !== other) throw new Error(`the snapshot of ${one} topics was loaded as ${other}`);
  const peakBytes = process.resourceUsage().maxRSS * 1024;
  return { partitions, bytes, writeMs, loadMs, imageBytes, peakBytes };
}

const [location = '', partitions = '0'] = process.argv.slice(2);
main(location, Number(partitions)).then(
  (figures) => {
    process.send?.(figures, () => process.disconnect());
  },
  (error: unknown) => {
    console.error(error);
    process.exit(1);
  },
);
