/**
 * The controllers as brokers and administrators meet them: three real processes, and this process as
 * the caller. Each figure that depends on the disk stands beside what the disk itself does in the same
 * run.
 */
import { internal, v1 } from '@barnabas/protocol';
import { fork } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs/promises';
import path from 'node:path';
import { performance } from 'node:perf_hooks';
import { Controllers } from '../quorum/controllers.js';
import { median, timed } from './measure.js';
import type { SnapshotFigures } from './metadata-snapshot.js';

export const ELECTION_TIMEOUT_MS = 500;
const BROKER_ID = 100;

/** Syncs of one small append after another that the disk does in a second. */
export async function rawSyncs(directory: string, seconds: number): Promise<number> {
  const file = await fs.open(path.join(directory, 'syncs'), 'w');
  const record = Buffer.alloc(256, 1);
  let syncs = 0;
  const took = await timed(async () => {
    for (const until = performance.now() + seconds * 1000; performance.now() < until; syncs++) {
      await file.write(record);
      await file.datasync();
    }
  });
  await file.close();
  await fs.rm(path.join(directory, 'syncs'));
  return syncs / took;
}

/** A snapshot of so many partitions, in a process of its own, so that its memory is its own. */
export async function snapshotOf(directory: string, partitions: number): Promise<SnapshotFigures> {
  const program = path.join(__dirname, 'metadata-snapshot.js');
  const child = fork(program, [path.join(directory, 'snapshot'), String(partitions)], {
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  });
  const [figures] = (await once(child, 'message')) as [SnapshotFigures];
  await once(child, 'exit');
  return figures;
}

/** One record: another default for all brokers. */
export async function change(admin: ReturnType<Controllers['admin']>, value: number): Promise<void> {
  const resource = { type: v1.ConfigResourceType.BROKER, name: '' };
  const ops = [{ key: 'log.retention.ms', value: String(1_000_000 + value) }];
  const request = v1.IncrementalAlterConfigsRequest.create({ resources: [{ resource, ops }] });
  const { results } = await admin.incrementalAlterConfigs(request);
  if (results[0]?.error !== undefined) throw new Error(results[0].error.message);
}

/** How many of `commit` end in a second, with so many of them on their way. */
export async function commitsPerSecond(
  commit: () => Promise<void>,
  inFlight: number,
  seconds: number,
): Promise<number> {
  let committed = 0;
  const until = performance.now() + seconds * 1000;
  const lane = async (): Promise<void> => {
    while (performance.now() < until) {
      await commit();
      committed += 1;
    }
  };
  const took = await timed(async () => {
    await Promise.all(Array.from({ length: inFlight }, lane));
  });
  return committed / took;
}

export class ControllerSubject {
  #leaderId = 0;
  #made = 0;

  private constructor(private readonly controllers: Controllers) {}

  static async start(directory: string): Promise<ControllerSubject> {
    const controllers = await Controllers.start({
      dataDir: directory,
      electionTimeoutMs: ELECTION_TIMEOUT_MS,
      // The broker on paper is never heard from.
      set: { 'broker.session.timeout.ms': 3_600_000 },
    });
    const subject = new ControllerSubject(controllers);
    await subject.#findLeader();
    const channel = controllers.connector.channel(controllers.address(subject.#leaderId));
    const brokers = channel.client(internal.ControllerServiceDefinition);
    const { brokerEpoch } = await brokers.registerBroker(
      internal.RegisterBrokerRequest.create({
        brokerId: BROKER_ID,
        incarnationId: 'AAAAAAAAQAAAgAAAAAAAAA',
        endpoints: [{ name: 'CLIENT', host: '127.0.0.1', port: 1 }],
        previousBrokerEpoch: -1,
        features: [{ name: 'metadata.version', minLevel: 1, maxLevel: 1_000 }],
      }),
    );
    const heartbeat = { brokerId: BROKER_ID, brokerEpoch, metadataOffset: 1_000_000 };
    await brokers.brokerHeartbeat(internal.BrokerHeartbeatRequest.create(heartbeat));
    return subject;
  }

  stop(): Promise<void> {
    return this.controllers.close();
  }

  /** Records committed in a second, with so many requests of one record each on their way. */
  commits(inFlight: number, seconds: number): Promise<number> {
    return commitsPerSecond(() => this.#change(), inFlight, seconds);
  }

  /** Milliseconds until a topic is committed. */
  async createTopic(partitions: number): Promise<number> {
    const topic = v1.NewTopic.create({ name: `bench-${this.#made++}`, partitions });
    const seconds = await timed(async () => {
      const { results } = await this.#admin().createTopics(v1.CreateTopicsRequest.create({ topics: [topic] }));
      if (results[0]?.error !== undefined) throw new Error(results[0].error.message);
    });
    return seconds * 1000;
  }

  /** Milliseconds from the death of the leader until another one has committed a change; all of so many times. */
  async failOvers(times: number): Promise<{ readonly medianMs: number; readonly maxMs: number }> {
    const took: number[] = [];
    for (let time = 0; time < times; time++) {
      const gone = await this.controllers.untilLevel();
      const seconds = await timed(async () => {
        await this.controllers.kill(gone);
        await this.#findLeader(this.controllers.ids.filter((id) => id !== gone));
        await this.#change();
      });
      took.push(seconds * 1000);
      await this.controllers.startOne(gone);
    }
    return { medianMs: median(took), maxMs: Math.max(...took) };
  }

  async #findLeader(among?: readonly number[]): Promise<void> {
    this.#leaderId = (await this.controllers.leader(among)).leaderId;
  }

  #change(): Promise<void> {
    return change(this.#admin(), this.#made++);
  }

  #admin() {
    return this.controllers.admin(this.#leaderId);
  }
}
