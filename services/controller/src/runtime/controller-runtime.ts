/**
 * The controller between its core and Raft: applies what is committed, decides while it leads, serves
 * followers either way. The state machine of the Raft node.
 *
 * Invariants:
 *   C1  the timeline's committed image is the same, offset for offset, on all controllers
 *   C2  decisions are made only between onLeadership(term) and onLeadership(undefined)
 *   C3  a fault (`onFault`) ends the role; nothing is decided or answered with success after it
 */
import { deferred } from '@barnabas/common';
import type { Logger, Random } from '@barnabas/common';
import { SnapshotLoader } from '@barnabas/metadata';
import type { MetadataImage } from '@barnabas/metadata';
import { BarnabasError, internal, toBarnabasError } from '@barnabas/protocol';
import type { AppliedEntry, RaftNode, StateMachine, StoredSnapshot } from '@barnabas/raft';
import type { Environment } from '@barnabas/rpc';
import {
  BrokerSessions,
  ClusterControl,
  Timeline,
  TopicControl,
  bootstrapCluster,
  electionsIn,
  rebalanceLeaders,
} from '../core/index.js';
import type { ControllerSettings, Decision, Rebalance } from '../core/index.js';
import { decodeCommand, encodeSnapshot } from './command.js';
import { electionMetrics } from './election-metrics.js';
import type { ElectionMetrics } from './election-metrics.js';
import { LeaderBalance } from './leader-balance.js';
import { MetadataFeeds } from './metadata-feeds.js';
import type { QuorumView } from './metadata-feeds.js';
import { quorumView } from './quorum-view.js';
import { SessionWatch } from './session-watch.js';
import { WriteQueue } from './write-queue.js';

export interface ControllerRuntimeOptions {
  readonly settings: ControllerSettings;
  readonly environment: Environment;
  readonly onFault: (fault: Error) => void;
}

/** What a new leader does before anything else must not wait behind a caller's deadline. */
const NO_DEADLINE_MS = Number.MAX_SAFE_INTEGER;
const ENDPOINT_TIMEOUT_MS = 30_000;

export class ControllerRuntime implements StateMachine {
  readonly timeline = new Timeline();
  readonly sessions: BrokerSessions;
  readonly cluster: ClusterControl;
  readonly topics: TopicControl;
  readonly feeds: MetadataFeeds;
  readonly #queue: WriteQueue;
  readonly #watch: SessionWatch;
  readonly #balance: LeaderBalance;
  readonly #elections: ElectionMetrics;
  readonly #logger: Logger;
  readonly #active = deferred<void>();
  #raft: RaftNode | undefined;
  /** What a new cluster is to be called. */
  #clusterId = '';
  /** Where the other controllers reach this one. */
  #endpoint: string | undefined;

  constructor(private readonly options: ControllerRuntimeOptions) {
    const { settings, environment } = options;
    this.#logger = environment.logger;
    this.sessions = new BrokerSessions(settings.sessionTimeoutMs);
    this.cluster = new ClusterControl(settings, this.sessions);
    this.topics = new TopicControl(settings, environment.random);
    this.feeds = new MetadataFeeds({ image: () => this.timeline.committed, quorum: () => this.quorum });
    this.#queue = new WriteQueue({
      timeline: this.timeline,
      clock: environment.clock,
      propose: (commands, term) => this.#propose(commands, term),
      notController: () => this.notController(),
      onFault: options.onFault,
    });
    this.#watch = new SessionWatch({
      sessions: this.sessions,
      image: () => this.timeline.latest,
      clock: environment.clock,
      timers: environment.timers,
      timeoutMs: settings.sessionTimeoutMs,
      expire: () => this.#expireSessions(),
    });
    this.#elections = electionMetrics(environment.metrics);
    this.#balance = new LeaderBalance({
      timers: environment.timers,
      logger: environment.logger,
      intervalMs: settings.leaderImbalanceCheckMs,
      rebalance: () => this.#rebalanceLeaders(),
    });
  }

  /** To be called once, before Raft tells of leadership. */
  attach(raft: RaftNode, { clusterId, endpoint }: { readonly clusterId: string; readonly endpoint?: string }): void {
    this.#raft = raft;
    this.#clusterId = clusterId;
    this.#endpoint = endpoint;
  }

  /** Resolves when this controller is active for the first time and its cluster has its id. */
  get active(): Promise<void> {
    return this.#active.promise;
  }

  /** This controller decides. */
  get isActive(): boolean {
    return this.#queue.term !== undefined;
  }

  /** The quorum as this controller knows it. */
  get quorum(): QuorumView {
    return quorumView(this.#raft, this.#endpoint);
  }

  /** Node id of the active controller as far as this one knows, or -1. */
  get leaderId(): number {
    return this.quorum.leaderId;
  }

  get settings(): ControllerSettings {
    return this.options.settings;
  }

  get raft(): RaftNode | undefined {
    return this.#raft;
  }

  get random(): Random {
    return this.options.environment.random;
  }

  now(): number {
    return this.options.environment.clock.monotonic();
  }

  submit<R>(decide: (image: MetadataImage) => Decision<R>, timeoutMs: number): Promise<R> {
    return this.#queue.submit(decide, timeoutMs);
  }

  /** Throws NOT_CONTROLLER unless this controller decides. */
  checkActive(): void {
    if (!this.isActive) throw this.notController();
  }

  /**
   * What is committed, nothing that was acknowledged before the call left out: a linearizable read. A
   * controller that was unseated and does not know it yet cannot answer. Throws NOT_CONTROLLER.
   */
  async readCommitted(): Promise<MetadataImage> {
    this.checkActive();
    await this.#raft?.readBarrier();
    return this.timeline.committed;
  }

  notController(): BarnabasError {
    const status = this.#raft?.status;
    const leader = status?.voters.find(({ id }) => id === status.leaderId && id !== status.nodeId);
    const text =
      leader === undefined
        ? 'no controller is active: retry'
        : `controller ${leader.id} at ${leader.endpoint} is active: ask it`;
    return new BarnabasError('NOT_CONTROLLER', text, { leaderId: leader?.id, endpoint: leader?.endpoint });
  }

  /** A broker has been heard from, or may have become due. */
  watchSessions(): void {
    this.#watch.arm();
  }

  // From here on: called by Raft.

  apply(entries: readonly AppliedEntry[]): void {
    for (const { command, term } of entries) {
      if (command === null) continue;
      const own = this.#queue.takeInFlight(command, term);
      const committed = own ? this.timeline.commitStaged() : this.timeline.commit(decodeCommand(command));
      if (own) this.#elections.elected(electionsIn(committed), this.now() - this.#queue.decidedAtMs);
      this.feeds.append(committed.batch, command.length);
    }
  }

  snapshot(): Iterable<Uint8Array> {
    return encodeSnapshot(this.timeline.committed);
  }

  async restore(snapshot: StoredSnapshot): Promise<void> {
    const loader = new SnapshotLoader();
    let image: MetadataImage | undefined;
    for await (const pieces of snapshot.records) {
      for (const piece of pieces) image = loader.add(internal.MetadataSnapshotChunk.decode(piece));
    }
    if (image === undefined) {
      throw new BarnabasError('KAFKA_STORAGE_ERROR', 'the snapshot of the metadata log ends early: replace this node');
    }
    this.timeline.restore(image);
    this.feeds.restart();
  }

  onLeadership(term: number | undefined): void {
    this.#watch.stop();
    this.#balance.stop();
    this.#queue.deactivate();
    this.timeline.dropStaged();
    if (term !== undefined) this.#activate(term);
    else this.#logger.info('This controller is not active any more');
    this.feeds.announceQuorum();
  }

  /** Ends everything that may still call back. */
  stop(): void {
    this.#watch.stop();
    this.#balance.stop();
    this.#queue.deactivate();
    this.feeds.stop();
  }

  #activate(term: number): void {
    this.#queue.activate(term);
    this.sessions.activate(this.timeline.committed, this.now());
    const clusterId = this.#clusterId;
    // In this order, before anybody's request: the queue was empty.
    const first = [
      this.submit((image) => bootstrapCluster(image, clusterId), NO_DEADLINE_MS),
      this.submit((image) => this.cluster.repair(image), NO_DEADLINE_MS),
    ];
    Promise.all(first)
      .then(() => {
        const { offset } = this.timeline.committed;
        this.#logger.info('This controller is active', { term, clusterId, offset });
        this.#watch.arm();
        if (this.isActive && this.settings.autoLeaderRebalance) this.#balance.start();
        this.#active.resolve();
        void this.#tellWhereItIs();
      })
      .catch((error: unknown) => this.#superseded(error));
  }

  /** A controller that has moved since it was made a voter says so when it leads, in the log. */
  async #tellWhereItIs(): Promise<void> {
    const raft = this.#raft;
    const endpoint = this.#endpoint;
    if (raft === undefined || endpoint === undefined) return;
    const { nodeId: id, directoryId, voters } = raft.status;
    const known = voters.find((voter) => voter.id === id && voter.directoryId === directoryId);
    if (known === undefined || known.endpoint === endpoint) return;
    try {
      await raft.addVoter({ id, directoryId, endpoint }, { timeoutMs: ENDPOINT_TIMEOUT_MS });
      this.#logger.info('The quorum knows where this controller is now', { before: known.endpoint, now: endpoint });
    } catch (error) {
      // The next time it leads will do: until then the others have their connections with it, or their own list.
      this.#logger.debug('The quorum was not told where this controller is', { error: toBarnabasError(error).message });
    }
  }

  #expireSessions(): void {
    this.submit((image) => this.cluster.expireSessions(image, this.now()), NO_DEADLINE_MS)
      .then((fenced) => {
        for (const brokerId of fenced) {
          this.#logger.warn('A broker has been silent for too long and was fenced', {
            brokerId,
            action: 'see whether the broker runs and reaches this controller',
          });
        }
        this.#watch.arm();
      })
      .catch((error: unknown) => this.#superseded(error));
  }

  async #rebalanceLeaders(): Promise<Rebalance | undefined> {
    try {
      return await this.submit((image) => rebalanceLeaders(image, this.settings), NO_DEADLINE_MS);
    } catch (error) {
      this.#superseded(error);
      return undefined;
    }
  }

  /** What this controller wanted as leader was refused because it is none any more: the next one will do it. */
  #superseded(error: unknown): void {
    if (error instanceof BarnabasError) {
      this.#logger.debug('Leadership ended before a decision of the controller was committed', {
        error: error.message,
      });
    } else {
      this.options.onFault(error instanceof Error ? error : new Error(String(error)));
    }
  }

  #propose(commands: readonly Uint8Array[], term: number): Promise<unknown> {
    if (this.#raft === undefined) return Promise.reject(this.notController());
    return this.#raft.propose(commands, { term });
  }
}
