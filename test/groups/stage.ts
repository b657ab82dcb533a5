/**
 * What every run of the groups harness stands on: a cluster, a topic, writers, the fleet of members, the
 * observer, and the checker that hears of everything. Starts it, waits for it, ends it.
 */
import { createWriteStream, mkdirSync } from 'node:fs';
import type { WriteStream } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { BarnabasClient } from '@barnabas/client';
import type { GroupDescription } from '@barnabas/client';
import { ChaosCluster } from '../chaos/cluster.js';
import { DirectWriter } from '../chaos/producers.js';
import { endOffsets } from '../chaos/readers.js';
import { Recorder } from '../chaos/recorder.js';
import { example, LANGUAGES, whyNot } from '../support/examples.js';
import type { Program } from '../support/examples.js';
import { GroupChecker } from './checker.js';
import { Fleet, languageOf } from './fleet.js';
import type { GroupEvent, Written } from './history.js';
import { Observer } from './observer.js';

export interface StageOptions {
  readonly members: number;
  readonly areStatic: boolean;
  readonly partitions: number;
  readonly brokers: number;
  readonly controllers: number;
  readonly gateways: number;
  readonly recordsPerSecond: number;
  readonly languages: readonly string[];
  readonly set: Readonly<Record<string, string>>;
  readonly dataDir: string;
  readonly logLevel: string;
  /** A network lies between the nodes and before the members that can be cut and slowed down. */
  readonly isNetworkFaulty: boolean;
}

export const TOPIC = 'shared';
export const GROUP = 'members';
/** The TypeScript client, straight to the leaders; the others speak Subscribe through a gateway. */
const DIRECT = 'direct';
export const KNOWN_MEMBERS: readonly string[] = [DIRECT, ...LANGUAGES];
export const DEFAULT_MEMBERS: readonly string[] = [DIRECT, 'python', 'go', 'typescript'];

const REPLICATION = 3;
const MIN_INSYNC = 2;
const WRITERS = 2;
/** Short, so that a run sees many elections and rebalances. */
const SETTINGS = {
  'broker.session.timeout.ms': 2_000,
  'broker.heartbeat.interval.ms': 400,
  'controller.quorum.election.timeout.ms': 1_000,
  'replica.lag.time.max.ms': 5_000,
  'replica.socket.timeout.ms': 2_000,
  'log.segment.bytes': 4 * 1024 * 1024,
  'group.consumer.session.timeout.ms': 6_000,
  'group.consumer.heartbeat.interval.ms': 1_000,
};
const POLL_MS = 50;
const SETTLE_MS = 120_000;
/** Longer than any writer waits for an outcome. */
const OUTCOMES_MS = 150_000;

/** What members can be, here and now. */
export interface Crew {
  /** By name. */
  readonly programs: ReadonlyMap<string, Program>;
  /** Those that are left out, and why. */
  readonly leftOut: ReadonlyMap<string, string>;
}

/** Builds the programs of these names, as far as their languages are installed. */
export async function buildMembers(names: readonly string[]): Promise<Crew> {
  const programs = new Map<string, Program>();
  const leftOut = new Map<string, string>();
  for (const name of names) {
    if (name === DIRECT) {
      const member = path.join(__dirname, 'direct-member.js');
      programs.set(name, { command: process.execPath, args: [member], environment: {} });
      continue;
    }
    const language = LANGUAGES.find((known) => known === name);
    if (language === undefined) throw new Error(`there is no member ${name}: choose from ${KNOWN_MEMBERS.join(', ')}`);
    const problem = whyNot(language);
    if (problem === undefined) programs.set(name, await example(language, 'group'));
    else leftOut.set(name, problem);
  }
  for (const name of KNOWN_MEMBERS) if (!names.includes(name)) leftOut.set(name, 'not asked for by --languages');
  return { programs, leftOut };
}

/** `java (Maven is not installed), rust (not asked for by --languages)`, or `none`. */
export function leftOutOf({ leftOut }: Crew): string {
  return [...leftOut].map(([name, why]) => `${name} (${why})`).join(', ') || 'none';
}

export class Stage {
  readonly recorder: Recorder;
  readonly checker: GroupChecker;
  readonly fleet: Fleet;
  readonly observer: Observer;
  readonly cluster: ChaosCluster;
  readonly client: BarnabasClient;
  readonly #options: StageOptions;
  readonly #history: WriteStream;
  readonly #writers: readonly DirectWriter[];
  readonly #listeners = new Set<(event: GroupEvent) => void>();
  #writing: Promise<unknown> = Promise.resolve();
  #observing: Promise<void> = Promise.resolve();
  #startedMs = performance.now();
  /** By language. */
  readonly #records = new Map<string, number>();

  private constructor(
    options: StageOptions,
    parts: { cluster: ChaosCluster; recorder: Recorder; programs: Crew['programs'] },
  ) {
    const { cluster, recorder, programs } = parts;
    const { dataDir, partitions, recordsPerSecond } = options;
    this.#options = options;
    this.cluster = cluster;
    this.recorder = recorder;
    this.checker = new GroupChecker(partitions);
    this.#history = createWriteStream(path.join(dataDir, 'history.jsonl'));
    const { bootstrap } = cluster;
    this.client = new BarnabasClient({ bootstrap, clientId: 'observer', requestTimeoutMs: 10_000 });
    const onEvent = (event: GroupEvent) => this.observe(event);
    this.observer = new Observer({ admin: this.client.admin(), group: GROUP, topic: TOPIC, onEvent });
    this.fleet = new Fleet({
      ...{ programs, seats: options.members, bootstrap, group: GROUP, topic: TOPIC, areStatic: options.areStatic },
      ...{ logs: path.join(dataDir, 'logs'), onEvent, onProblem: (text) => this.problem(text) },
    });
    cluster.others = () => this.fleet.names();
    const writer = { recorder, bootstrap, topic: TOPIC, recordsPerSecond: recordsPerSecond / WRITERS };
    this.#writers = Array.from(
      { length: WRITERS },
      (_, index) => new DirectWriter({ ...writer, name: `writer-${index + 1}` }, true),
    );
  }

  /** A cluster with a topic; nobody writes or reads yet. */
  static async open(options: StageOptions, programs: Crew['programs']): Promise<Stage> {
    const { controllers, brokers, gateways, dataDir, partitions } = options;
    mkdirSync(path.join(dataDir, 'logs'), { recursive: true });
    const recorder = new Recorder(partitions);
    const cluster = await ChaosCluster.start({
      shape: { controllers, brokers, gateways },
      dataDir,
      set: { ...SETTINGS, ...options.set },
      logLevel: options.logLevel,
      isDirect: !options.isNetworkFaulty,
      onUnexpectedExit: (node, how) => recorder.problem(`${node.name} ${how}`),
    });
    const stage = new Stage(options, { cluster, recorder, programs });
    try {
      await stage.#createTopic();
    } catch (error) {
      await stage.close();
      throw error;
    }
    return stage;
  }

  async #createTopic(): Promise<void> {
    const replicationFactor = Math.min(REPLICATION, this.#options.brokers);
    const configs = { 'min.insync.replicas': String(Math.min(MIN_INSYNC, replicationFactor)) };
    const { partitions } = this.#options;
    await this.client.admin().createTopics([{ name: TOPIC, partitions, replicationFactor, configs }]);
    await this.client.router.view.ensureTopic(TOPIC, { timeoutMs: SETTLE_MS, allowAutoTopicCreation: false });
  }

  /** Members join, and when they share everything the writers begin. */
  async begin(): Promise<void> {
    for (const seat of this.fleet.seats) this.fleet.start(seat);
    this.#observing = this.observer.run();
    await this.settled('when it began');
    this.#writing = Promise.all(this.#writers.map((writer) => writer.run()));
    this.#startedMs = performance.now();
  }

  /** Nobody writes any more, and every writer knows what became of what it wrote. */
  async stopWriting(): Promise<void> {
    for (const writer of this.#writers) writer.stop();
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<true>((resolve) => {
      timer = setTimeout(() => resolve(true), OUTCOMES_MS);
    });
    if (await Promise.race([this.#writing.then(() => false), late])) {
      this.problem('a writer has not heard of everything it sent');
    }
    clearTimeout(timer);
  }

  /** Every seat is a member and knows what it owns, the group is stable, and all have equal shares. */
  async settled(when: string): Promise<void> {
    const why = () => {
      const { description } = this.observer;
      if (description === undefined) return 'the group has not been seen';
      const { state, members } = description;
      const owned = members.map(({ assignment }) => assignment.length);
      const total = owned.reduce((sum, count) => sum + count, 0);
      const { members: seats, partitions } = this.#options;
      const isEven = Math.max(...owned) - Math.min(...owned) <= 1;
      const isShared = state === 'Stable' && members.length === seats && total === partitions && isEven;
      if (!isShared) return `${state}, ${members.length} members with ${owned.join('+')} partitions`;
      return this.#whoErrs(members);
    };
    await this.until(why, `the group was not stable ${when}`);
  }

  /** A member that believes to own something else than the coordinator says it does. */
  #whoErrs(members: GroupDescription['members']): string | undefined {
    for (const { memberName, memberId, owned } of this.fleet.seats) {
      const truly = members.find((member) => member.memberId === memberId)?.assignment ?? [];
      if (truly.length === owned.size && truly.every(({ partition }) => owned.has(partition))) continue;
      const numbers = truly.map(({ partition }) => partition).join('+');
      return `${memberName} (${memberId}) says it owns ${[...owned].join('+')}, and it owns ${numbers || 'nothing'}`;
    }
    return undefined;
  }

  /** Everything that is in the log has been given out, and is committed. */
  async drained(): Promise<void> {
    const ends = await endOffsets(this.cluster.bootstrap, TOPIC, this.#options.partitions);
    const why = () => {
      const { committed } = this.checker;
      const behind = ends.flatMap((end, partition) =>
        (committed[partition] ?? 0) < end ? [`${partition}: ${committed[partition]} of ${end}`] : [],
      );
      return behind.length === 0 ? undefined : `committed is behind in ${behind.join(', ')}`;
    };
    await this.until(why, 'the group has lag');
  }

  /** Until there is no reason left, or a problem is written down. Returns how long it took. */
  async until(why: () => string | undefined, problem: string, timeoutMs = SETTLE_MS): Promise<number> {
    const begunMs = performance.now();
    for (;;) {
      const reason = why();
      const tookMs = performance.now() - begunMs;
      if (reason === undefined) return tookMs;
      if (tookMs > timeoutMs) {
        this.problem(`${problem} after ${Math.round(timeoutMs / 1000)} s: ${reason}`);
        return tookMs;
      }
      await sleep(POLL_MS);
    }
  }

  observe(event: GroupEvent): void {
    this.checker.observe(event);
    if (event.kind === 'record') {
      const language = languageOf(event.member);
      this.#records.set(language, (this.#records.get(language) ?? 0) + 1);
    }
    this.#history.write(`${JSON.stringify(event)}\n`);
    for (const listener of this.#listeners) listener(event);
  }

  /** Tells of every event until the function that is returned is called. */
  listen(listener: (event: GroupEvent) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Given to members. */
  get records(): number {
    return [...this.#records.values()].reduce((sum, count) => sum + count, 0);
  }

  recordsOf(language: string): number {
    return this.#records.get(language) ?? 0;
  }

  problem(text: string): void {
    this.recorder.problem(`${this.clock()} ${text}`);
  }

  clock(): string {
    return `${((performance.now() - this.#startedMs) / 1000).toFixed(1)} s`;
  }

  get startedMs(): number {
    return this.#startedMs;
  }

  /** What was written, for the checker. */
  *written(): Iterable<Written> {
    for (const operation of this.recorder.history) {
      if (operation.kind !== 'send') continue;
      const { partition, values, outcome, offset } = operation;
      for (const value of values) yield { value, partition, isAcknowledged: outcome === 'ok', offset };
    }
  }

  /** Members leave in good order; then one last look, and everything is stopped. */
  async end(): Promise<void> {
    await this.fleet.stopAll();
    this.observer.stop();
    await this.#observing;
    await this.observer
      .look()
      .catch((error: unknown) => this.problem(`the group cannot be described: ${String(error)}`));
    const { description } = this.observer;
    if (description?.state !== 'Empty' && !this.#options.areStatic) {
      this.problem(`all members have left, and the group is ${description?.state}`);
    }
    await this.cluster.stopAll();
  }

  /** Ends everything, in whatever state it is. */
  async close(): Promise<void> {
    this.observer.stop();
    await this.fleet.close();
    await this.client.close(0);
    await this.cluster.close();
    await new Promise((resolve) => this.#history.end(resolve));
  }
}
