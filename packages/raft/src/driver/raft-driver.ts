/**
 * Runs a core on a disk, a network and a clock. Inputs change the core at once, in the turn they come
 * in; a little later in the same turn one pass carries out what the core wants done, so that whatever
 * came together is written and sent together. While a group is being written, inputs go on and gather
 * into the next group.
 *
 * Owns the order of effects; decides nothing about Raft.
 * Invariants:
 *   V1  one group is on its way to the disk at a time; its messages leave when it is there
 *   V2  after a fault nothing is written, sent, applied or answered with success
 * Protocol: docs/protocols/raft.md, section 9.
 */
import { deferred, EventQueue } from '@barnabas/common';
import type { Clock, Deferred, Logger, Timer, Timers } from '@barnabas/common';
import { BarnabasError } from '@barnabas/protocol';
import { isPlainText, isSame } from '../core/index.js';
import type { InstallSnapshot, Member, PersistGroup, RaftCore, Ready, ReplicaId, SnapshotMark } from '../core/index.js';
import type { Announce, PeerMessage } from '../peer-message.js';
import type { RaftStorage } from '../storage/raft-storage.js';
import type { RaftTransport } from '../transport/types.js';
import type {
  Committed,
  MembershipOptions,
  ProposeOptions,
  RaftConfig,
  RaftNode,
  RaftStatus,
  ReadBarrierOptions,
  ReplicaKey,
  ReplicaStatus,
  StateMachine,
} from '../types.js';
import { Applier } from './applier.js';
import { Barriers } from './barriers.js';
import { Discovery } from './discovery.js';
import { HeldProposals } from './held-proposals.js';
import { Membership } from './membership.js';
import { Observers } from './observers.js';
import { Proposals } from './proposals.js';
import { SnapshotMaker } from './snapshot-maker.js';
import { SnapshotReceiver } from './snapshot-receiver.js';
import { SnapshotSender } from './snapshot-sender.js';

export interface DriverParts {
  readonly clusterId: string;
  readonly self: Member;
  readonly bootstrapServers: readonly string[];
  readonly core: RaftCore;
  readonly storage: RaftStorage;
  readonly transport: RaftTransport | undefined;
  readonly stateMachine: StateMachine;
  readonly config: RaftConfig;
  readonly tickMs: number;
  readonly clock: Clock;
  readonly timers: Timers;
  readonly logger: Logger;
}

/** An observer that has been silent for so many election time-outs is no longer listed. */
const OBSERVER_SESSION_TIMEOUTS = 10;

export class RaftDriver implements RaftNode {
  readonly failed: Promise<never>;
  readonly #fault: Deferred<never>;
  readonly #lane = new EventQueue();
  readonly #proposals = new Proposals();
  readonly #barriers = new Barriers();
  readonly #applier: Applier;
  readonly #maker: SnapshotMaker;
  readonly #sender: SnapshotSender;
  readonly #receiver: SnapshotReceiver;
  readonly #discovery: Discovery;
  readonly #membership: Membership;
  readonly #observers: Observers;
  readonly #held = new HeldProposals();
  #state: 'running' | 'stopped' | 'failed' = 'running';
  #timer: Timer | undefined;
  #passDue = false;
  /** The leadership that the state machine knows of. */
  #announcedTerm: number | undefined;
  #loggedLeader: string | undefined;

  constructor(readonly parts: DriverParts) {
    const { core, storage, timers, config, stateMachine, self } = parts;
    this.#fault = deferred<never>();
    this.failed = this.#fault.promise;
    // Whoever cares has its own handler; a node that is stopped without one is no unhandled rejection.
    this.failed.catch(() => undefined);
    const onFault = (error: unknown): void => this.#fail(error);
    const send = (message: PeerMessage): void => this.#send(message);
    this.#applier = new Applier(
      stateMachine,
      storage.snapshot,
      () => storage.readSnapshot(),
      () => this.#wake(),
      onFault,
    );
    const onMade = this.#input((mark: SnapshotMark) => core.compact(mark));
    this.#maker = new SnapshotMaker(storage, this.#lane, config, onMade, onFault);
    this.#sender = new SnapshotSender({
      storage,
      timers,
      silenceMs: config.electionTimeoutMs,
      windowChunks: config.snapshotWindowChunks,
      send,
      awaitedBy: (follower) => core.snapshotAwaitedBy(follower),
      onEnd: this.#input((follower: number) => core.snapshotEnded(follower)),
      onFault,
    });
    this.#receiver = new SnapshotReceiver({
      storage,
      chunkBytes: config.snapshotChunkBytes,
      windowChunks: config.snapshotWindowChunks,
      send,
      onComplete: this.#input((install: InstallSnapshot) => {
        const before = core.status.snapshot.index;
        core.step(install);
        const isAccepted = before < install.snapshot.index && core.status.snapshot.index === install.snapshot.index;
        if (!isAccepted) this.#receiver.discard(install.snapshot);
      }),
      onFault,
    });
    this.#observers = new Observers(parts.clock, OBSERVER_SESSION_TIMEOUTS * config.electionTimeoutMs);
    this.#discovery = new Discovery({
      ...{ self, timers, send, bootstrapServers: parts.bootstrapServers },
      intervalMs: Math.ceil(config.electionTimeoutMs / 2),
      connect: (targets) => parts.transport?.connect(targets),
      term: () => core.status.term,
      knowsLeader: () => core.status.leaderId !== undefined,
    });
    this.#membership = new Membership({
      ...{ self, core, timers },
      // Whoever is listed can be added: one whose old self has just been removed has not been sent anything yet.
      observers: () => [...core.observers, ...this.#observers.announced],
      notController: () => this.#notController(),
      wake: () => this.#wake(),
    });
  }

  /** Begins, in a later turn: the caller has time to make the node known first. */
  start(): void {
    this.#timer = this.parts.timers.after(0, () => {
      const { clusterId, self, transport, core } = this.parts;
      const { id: nodeId, directoryId } = self;
      transport?.start(
        { clusterId, nodeId, directoryId },
        this.#input((message: PeerMessage) => this.#receive(message)),
      );
      this.#discovery.start(core.status.configuration);
      this.#scheduleTick();
      this.#wake();
    });
  }

  propose(commands: readonly Uint8Array[], options: ProposeOptions = {}): Promise<Committed> {
    const bytes = commands.reduce((sum, command) => sum + command.length, 0);
    const refusal = this.#refusal(commands, bytes, options);
    if (refusal !== undefined) return Promise.reject(refusal);
    const { term, transferringTo } = this.parts.core.status;
    // The lead is on its way to another: if the other does not take it, this is appended after all.
    if (transferringTo !== undefined) return this.#held.add(commands, bytes, term);
    return this.#append(commands, bytes);
  }

  readBarrier({ lease = false }: ReadBarrierOptions = {}): Promise<number> {
    if (this.#state !== 'running') return Promise.reject(this.#notController());
    const { id, answer } = this.#barriers.add();
    const asked = this.parts.core.read(id, { lease, now: this.#now });
    if (!asked) this.#barriers.lost(id, this.#notController());
    this.#wake();
    return answer;
  }

  addVoter(voter: ReplicaKey & { readonly endpoint?: string }, options: MembershipOptions): Promise<void> {
    if (this.#state !== 'running') return Promise.reject(this.#notController());
    return this.#membership.add(voter, options);
  }

  removeVoter(voter: ReplicaKey, options: MembershipOptions): Promise<void> {
    if (this.#state !== 'running') return Promise.reject(this.#notController());
    return this.#membership.remove(voter, options);
  }

  transferLeadership(to: number | undefined, options: MembershipOptions): Promise<number> {
    if (this.#state !== 'running') return Promise.reject(this.#notController());
    return this.#membership.transfer(to, options);
  }

  get nextIndex(): number {
    return this.parts.core.status.lastIndex + 1 + this.#held.commands;
  }

  get status(): RaftStatus {
    const { core, self } = this.parts;
    const { role, term, leaderId, commitIndex, lastIndex, snapshot, configuration } = core.status;
    const { id: nodeId, directoryId } = self;
    const isMember = (one: ReplicaId): boolean =>
      [...configuration.voters, ...configuration.learners].some((member) => isSame(member, one));
    const others = [...core.observers, ...this.#observers.announced].filter((one) => !isMember(one));
    const observers = others.filter((one, at) => others.findIndex((other) => isSame(other, one)) === at);
    const statusOf = (member: Member): ReplicaStatus => this.#statusOf(member);
    return {
      ...{ nodeId, directoryId, role, term, leaderId, commitIndex, lastIndex },
      appliedIndex: this.#applier.applied.index,
      snapshotIndex: snapshot.index,
      voters: configuration.voters.map(statusOf),
      observers: [...configuration.learners, ...observers].map(statusOf),
    };
  }

  async stop(): Promise<void> {
    if (this.#state === 'running') {
      this.#state = 'stopped';
      this.#end();
      this.#announce(undefined);
    }
    await Promise.all([this.#lane.close(), this.#maker.stop()]);
  }

  #append(commands: readonly Uint8Array[], bytes: number): Promise<Committed> {
    try {
      const placed = this.parts.core.propose(commands);
      if (placed === undefined) return Promise.reject(this.#notController());
      this.#proposals.dropOthers(placed.term);
      this.#wake();
      return this.#proposals.add(placed, bytes);
    } catch (error) {
      this.#fail(error);
      return this.failed;
    }
  }

  /** On the clock of leases: in ticks, but of a clock that goes on while this process stands still. */
  get #now(): number {
    return this.parts.clock.monotonic() / this.parts.tickMs;
  }

  #statusOf({ id, directoryId, endpoint }: Member): ReplicaStatus {
    const { core, self } = this.parts;
    const isSelf = isSame(self, { id, directoryId });
    const lastContactMs = isSelf ? 0 : this.#observers.lastContactMs({ id, directoryId });
    return { id, directoryId, endpoint, matchIndex: core.matchIndexOf({ id, directoryId }) ?? -1, lastContactMs };
  }

  #refusal(commands: readonly Uint8Array[], bytes: number, options: ProposeOptions): BarnabasError | undefined {
    const { core, config } = this.parts;
    if (this.#state !== 'running') return this.#notController();
    if (options.term !== undefined && options.term !== core.status.term) return this.#notController();
    if (core.status.role !== 'leader') return this.#notController();
    if (commands.length === 0) return new BarnabasError('INVALID_REQUEST', 'a proposal holds at least one command');
    const largest = commands.reduce((most, { length }) => Math.max(most, length), 0);
    if (largest > config.maxCommandBytes) {
      return new BarnabasError(
        'MESSAGE_TOO_LARGE',
        `a metadata change of ${largest} bytes is larger than ${config.maxCommandBytes}: split it`,
      );
    }
    // One that is larger than the whole limit goes when nothing else waits.
    const waiting = this.#proposals.bytes + this.#held.bytes;
    if (waiting > 0 && waiting + bytes > config.maxUncommittedBytes) {
      return new BarnabasError(
        'THROTTLING_QUOTA_EXCEEDED',
        `${waiting} bytes of metadata changes are waiting to be committed: retry later`,
      );
    }
    return undefined;
  }

  #notController(): BarnabasError {
    const { leaderId } = this.parts.core.status;
    const endpoint = this.#discovery.voters.find(({ id }) => id === leaderId)?.endpoint;
    const hint = endpoint === undefined ? 'no leader is known, retry' : `node ${leaderId} at ${endpoint} does`;
    return new BarnabasError('NOT_CONTROLLER', `this controller does not lead: ${hint}`, { leaderId });
  }

  #receive(message: PeerMessage): void {
    const { core, self } = this.parts;
    this.#observers.heard({ id: message.from, directoryId: message.fromDirectory });
    if (message.type === 'announce') {
      this.#onAnnounce(message);
      return;
    }
    if (message.to !== self.id || message.toDirectory !== self.directoryId) return;
    if (message.type === 'snapshotChunk') {
      if (message.term >= core.status.term) this.#receiver.onChunk(message);
    } else if (message.type === 'snapshotChunkResponse') {
      this.#sender.onResponse(message);
    } else if (message.type === 'announceResponse') {
      this.#discovery.onResponse(message);
    } else {
      core.step(message);
    }
  }

  /** A node without a vote follows whoever leads; and learns here who votes. */
  #onAnnounce({ from, fromDirectory, endpoint }: Announce): void {
    const { core, self } = this.parts;
    if (!isPlainText(endpoint) || !isPlainText(fromDirectory)) return;
    const observer = { id: from, directoryId: fromDirectory, endpoint };
    this.#observers.add(observer);
    core.observe(observer);
    this.#send({
      ...{ type: 'announceResponse', from: self.id, fromDirectory: self.directoryId },
      ...{ to: from, toDirectory: fromDirectory, term: core.status.term, voters: this.#discovery.voters },
    });
  }

  /** Wraps whatever changes the core: only while running, with a pass after it, and with faults caught. */
  #input<Args extends unknown[]>(change: (...args: Args) => void): (...args: Args) => void {
    return (...args) => {
      if (this.#state !== 'running') return;
      try {
        change(...args);
        this.#wake();
      } catch (error) {
        this.#fail(error);
      }
    };
  }

  #scheduleTick(): void {
    const tick = this.#input(() => {
      this.#scheduleTick();
      this.parts.core.tick();
    });
    this.#timer = this.parts.timers.after(this.parts.tickMs, tick);
  }

  /** A pass will come, at the end of this turn. */
  #wake(): void {
    if (this.#passDue) return;
    this.#passDue = true;
    queueMicrotask(() => {
      this.#passDue = false;
      if (this.#state !== 'running') return;
      try {
        this.#pass();
      } catch (error) {
        this.#fail(error);
      }
    });
  }

  #pass(): void {
    const { core } = this.parts;
    for (let more = true; more; ) {
      const ready = core.ready(this.#now);
      for (const message of ready.messages) this.#send(message);
      this.#settle(ready);
      more = false;
      if (ready.persist !== undefined) {
        if (isEmpty(ready.persist)) {
          this.#stored(ready.persist);
          more = true;
        } else {
          this.#persist(ready.persist).catch((error: unknown) => this.#fail(error));
        }
      }
    }
    const { applied } = this.#applier;
    // Not while a snapshot of the leader's is about to take the place of what has been applied: it is the
    // log's beginning already, and the log knows no more who voted before it.
    if (this.#maker.due && this.#applier.idle && applied.index >= core.status.snapshot.index) {
      this.#maker.begin(applied, core.configurationAt(applied.index), this.parts.stateMachine.snapshot());
    }
    this.#discovery.follow(core.status.configuration);
    this.#releaseHeld();
    this.#membership.look();
  }

  /** The transfer for which proposals were held is over, one way or the other. */
  #releaseHeld(): void {
    if (this.#held.commands === 0) return;
    const { role, term, transferringTo } = this.parts.core.status;
    if (transferringTo !== undefined) return;
    for (const { commands, bytes, term: heldIn, done } of this.#held.take()) {
      const isOurs = role === 'leader' && term === heldIn;
      if (isOurs) this.#append(commands, bytes).then(done.resolve, done.reject);
      else done.reject(this.#notController());
    }
  }

  async #persist(group: PersistGroup): Promise<void> {
    const received = group.snapshot && this.#receiver.take(group.snapshot);
    await this.#lane.push(() => this.parts.storage.persist(group, received));
    if (this.#state !== 'running') return;
    this.#stored(group);
    this.#wake();
    if (received !== undefined) await this.#lane.push(() => this.parts.storage.removeCompacted());
  }

  #stored(group: PersistGroup): void {
    for (const message of group.messages) this.#send(message);
    this.parts.core.advance();
  }

  /** Applies, answers, and tells the state machine who leads. */
  #settle(ready: Ready): void {
    const { core } = this.parts;
    const { role, term, termStartIndex } = core.status;
    const leads = role === 'leader' ? term : undefined;
    // The loss comes first: what the state machine assumed as leader is gone before it replays.
    if (this.#announcedTerm !== undefined && this.#announcedTerm !== leads) this.#announce(undefined);
    if (ready.restore !== undefined) this.#applier.restore(ready.restore);
    this.#applier.apply(ready.committed);
    this.#applier.run();
    this.#maker.applied(ready.committed);
    const applied = this.#applier.applied.index;
    this.#proposals.applied(applied, (index) => core.termAt(index));
    this.#proposals.dropOthers(leads);
    for (const { id, index } of ready.reads) this.#barriers.proven(id, index);
    for (const id of ready.readsLost) this.#barriers.lost(id, this.#notController());
    this.#barriers.applied(applied);
    if (leads !== undefined && termStartIndex !== undefined && applied >= termStartIndex) this.#announce(leads);
    this.#logChange();
  }

  #announce(term: number | undefined): void {
    if (this.#announcedTerm === term) return;
    this.#announcedTerm = term;
    this.parts.stateMachine.onLeadership(term);
  }

  #logChange(): void {
    const { role, term, leaderId } = this.parts.core.status;
    const now = `${role} ${leaderId ?? 'nobody'} ${term}`;
    if (now === this.#loggedLeader) return;
    this.#loggedLeader = now;
    this.parts.logger.info('the quorum has changed as this node sees it', { role, term, leaderId });
  }

  #send(message: PeerMessage): void {
    if (message.type === 'installSnapshot') this.#sender.begin(message);
    else this.parts.transport?.send(message);
  }

  #end(): void {
    this.#timer?.cancel();
    this.#sender.stop();
    this.#discovery.stop();
    this.parts.transport?.stop();
    this.#membership.end();
    for (const { done } of this.#held.take()) done.reject(this.#notController());
    this.#proposals.dropOthers(undefined);
    this.#barriers.dropAll(new BarnabasError('NOT_CONTROLLER', 'this controller has stopped: ask another one'));
  }

  #fail(error: unknown): void {
    if (this.#state !== 'running') return;
    this.#state = 'failed';
    this.#end();
    const cause = error instanceof Error ? error : new Error(String(error));
    this.parts.logger.error('the metadata quorum node has failed', {
      error: cause,
      action: 'look at the error; the process must end and be started again',
    });
    this.#fault.reject(cause);
  }
}

function isEmpty(group: PersistGroup): boolean {
  return group.snapshot === undefined && group.hardState === undefined && group.entries.length === 0;
}
