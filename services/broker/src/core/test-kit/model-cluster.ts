/**
 * Several replica managers, one partition, a lossy network, a controller and a client, in one place:
 * real cores, everything around them a model. What happens next is a matter of dice.
 *
 * After every step it holds, or `check` throws:
 *   M1  what some leader has committed, no leader's committed prefix contradicts
 *   M2  everybody in the controller's ISR and eligible replicas has all of it on disk
 *   M3  what was acknowledged with acks=all is in it
 * Streams are ordered, at most once, and break losing what is on their way; calls to the controller come in
 * any order, or too late, or never; disks keep of what is not synced as much as they like.
 */
import type { Random } from '@barnabas/common';
import { positionOf } from '../follow.js';
import type { Follow, FollowPosition, FollowSink } from '../follow.js';
import type { IsrAnswer, IsrProposal } from '../isr.js';
import type { ReplicaEffect, ReplicaEvent } from '../events.js';
import type { Partition } from '../partition.js';
import { ModelController } from './model-controller.js';
import { LAG_MS, Node, Stream } from './model-node.js';
import type { Entry, ToFollower, ToLeader, Token } from './model-node.js';

/** What happens, as often as it stands here. */
const DEEDS = [
  'produce',
  ...(['sync', 'sync', 'push', 'push'] as const),
  ...(['deliver', 'deliver', 'deliver', 'deliver'] as const),
  ...(['hear', 'link', 'call', 'work'] as const),
] as const;
const MISFORTUNES = [
  ...(['time', 'time', 'fence', 'fence', 'unfence', 'unfence', 'unfence', 'unfence'] as const),
  ...(['restart', 'break', 'break', 'corrupt', 'replace', 'replace'] as const),
] as const;

interface Call {
  readonly sender: Node;
  readonly run: () => void;
}

export interface ModelOptions {
  readonly random: Random;
  readonly replicas?: readonly number[];
  readonly minIsr?: number;
  /** Watches the cores' effects, or changes them: for planted bugs. */
  readonly meddle?: (effect: ReplicaEffect<Token>, node: Node) => ReplicaEffect<Token> | undefined;
  readonly plant?: ModelPlant;
}

/** Bugs of what surrounds the core. */
export interface ModelPlant {
  /** Followers acknowledge what their disks do not have yet. */
  readonly acknowledgesUnsynced?: boolean;
  /** A log that was corrupt is made anew at once. */
  readonly rebuildsAtOnce?: boolean;
  /** A leader takes a proposal for refused that is still on its way. */
  readonly forgetsProposals?: boolean;
  /** Followers believe that they agree with whatever leader they ask. */
  readonly agreesBlindly?: boolean;
  /** A restarted broker takes part with an image of before. */
  readonly startsWithOldImage?: boolean;
}

export class ModelCluster {
  readonly controller: ModelController;
  readonly nodes = new Map<number, Node>();
  readonly committed: Entry[] = [];
  readonly acknowledged: number[] = [];
  readonly counts = { steps: 0, truncations: 0, restarts: 0, elections: 0, rebuilds: 0, admissions: 0 };
  now = 0;
  #calls: Call[] = [];
  readonly #afterTurn: (() => void)[] = [];
  #values = 0;
  #sessions = 0;
  /** Misfortune is over. */
  #isCalm = false;

  constructor(private readonly options: ModelOptions) {
    const { replicas = [1, 2, 3], minIsr = 2 } = options;
    this.controller = new ModelController(replicas, minIsr);
    for (const id of replicas) this.#begin(id, this.controller.broker(id).epoch, []);
  }

  /** Something happens. */
  step(): void {
    this.counts.steps += 1;
    const node = this.#anyNode();
    // Misfortune rarely enough that something gets committed in between.
    const isMisfortune = !this.#isCalm && this.options.random.below(16) === 0;
    const choices = isMisfortune ? MISFORTUNES : DEEDS;
    this.#act(node, choices[this.options.random.below(choices.length)] ?? 'produce');
    this.check();
  }

  /** Misfortune ends: in the end everybody has everything, and more can be written. */
  heal(): void {
    this.#isCalm = true;
    for (let round = 0; round < 8000; round++) {
      for (const id of this.nodes.keys()) this.controller.unfence(id);
      this.step();
      if (round % 50 === 49) this.#timePasses();
      // The last one is used again when a person starts its broker anew.
      if (round % 300 === 299) {
        for (const node of [...this.nodes.values()]) if (node.partition?.log.kind === 'offline') this.#restart(node);
      }
      if (round % 100 === 99 && this.isWhole()) return;
    }
    throw new Error(`it does not heal: ${this.describe()}`);
  }

  isWhole(): boolean {
    const { isr, replicas, leader } = this.controller.assignment;
    const lead = this.nodes.get(leader)?.partition;
    if (lead === undefined || isr.length < replicas.length) return false;
    const logs = [...this.nodes.values()].map(({ log }) => JSON.stringify(log));
    return new Set(logs).size === 1 && lead.highWatermark === lead.logEndOffset && this.#calls.length === 0;
  }

  check(): void {
    for (const { partition, log, id } of this.nodes.values()) {
      if (partition?.log.kind !== 'online') continue;
      const { highWatermark } = partition;
      for (let offset = 0; offset < highWatermark; offset++) {
        const [entry, known] = [log[offset], this.committed[offset]];
        if (entry === undefined) throw new Error(`M1: broker ${id} has committed ${offset} and does not have it`);
        if (known === undefined) this.committed.push(entry);
        else if (known.value !== entry.value) {
          throw new Error(`M1: at ${offset} ${known.value} was committed, broker ${id} has ${entry.value}`);
        }
      }
    }
    const { isr, eligibleLeaderReplicas } = this.controller.assignment;
    for (const id of [...isr, ...eligibleLeaderReplicas]) {
      const node = this.nodes.get(id);
      if (node === undefined) continue;
      const { log, stable } = node;
      const lacks = this.committed.findIndex(({ value }, offset) => offset >= stable || log[offset]?.value !== value);
      if (lacks !== -1 && !this.#isKnownLoss(id)) {
        throw new Error(`M2: broker ${id} may be elected and lacks ${lacks}: ${this.describe()}`);
      }
    }
    for (const value of this.acknowledged) {
      if (!this.committed.some((entry) => entry.value === value)) throw new Error(`M3: ${value} is not committed`);
    }
  }

  describe(): string {
    const { isr, leader, leaderEpoch, partitionEpoch, eligibleLeaderReplicas } = this.controller.assignment;
    const nodes = [...this.nodes.values()].map(({ id, log, stable, partition }) => {
      const role = partition?.isLeader === true ? 'leads' : (partition?.following?.phase ?? 'none');
      const values = log.map((entry) => `${entry.epoch}:${entry.value}`).join(' ');
      return `${id} ${role} ${partition?.log.kind} hw ${partition?.highWatermark} stable ${stable} [${values}]`;
    });
    return [
      `leader ${leader} in ${leaderEpoch}, isr ${isr.join(',')}, elr ${eligibleLeaderReplicas.join(',')}, partition epoch ${partitionEpoch}`,
      ...nodes,
    ].join('\n  ');
  }

  // --- what can happen ---

  #act(node: Node, action: (typeof DEEDS)[number] | (typeof MISFORTUNES)[number]): void {
    const { random } = this.options;
    switch (action) {
      case 'produce':
        return this.#produce(node);
      case 'sync':
        return this.#sync(node);
      case 'hear':
        return this.#hear(node);
      case 'deliver':
        for (let n = random.below(4); n >= 0; n--) this.#deliver(node);
        return;
      case 'push':
        return this.#push(node);
      case 'link':
        return this.#link(node);
      case 'call':
        return this.#call();
      case 'work':
        return this.#work(node);
      case 'time':
        return this.#timePasses();
      case 'fence':
        return this.controller.fence(node.id);
      case 'unfence':
        return this.controller.unfence(node.id);
      case 'restart':
        return this.#restart(node);
      case 'break':
        return this.#break(node);
      case 'corrupt':
        return this.#corrupt(node);
      case 'replace':
        return this.controller.replace(node.id);
    }
  }

  #produce(node: Node): void {
    const { partition } = node;
    // Bounded, so that checks stay cheap; a leader alone must not write without end either.
    if (partition === undefined || node.log.length > 80) return;
    const value = ++this.#values;
    const acks: 'leader' | 'all' = this.options.random.below(3) === 0 ? 'leader' : 'all';
    const token = { value, acks };
    const input = { batches: new Uint8Array(1), acks, deadline: this.now + 1000, token, handedOver: false };
    this.#send(node, { type: 'produce', partition, input });
  }

  /** The disk catches up. */
  #sync(node: Node): void {
    const { partition } = node;
    if (partition?.log.kind !== 'online' || node.stable >= node.log.length) return;
    node.stable += 1 + this.options.random.below(node.log.length - node.stable);
    this.#send(node, { type: 'stable', partition, endOffset: node.stable });
  }

  /** Metadata arrives, one state or several at once. */
  #hear(node: Node): void {
    const left = this.controller.offset - node.heard;
    if (left === 0) return;
    node.heard += 1 + this.options.random.below(left);
    const state = this.controller.states[node.heard - 1];
    if (state === undefined) return;
    const { assignment, brokers } = state;
    this.#send(node, { type: 'brokers', brokers });
    const holds = assignment.replicas.includes(node.id);
    if (holds) {
      this.#send(node, { type: 'assigned', changes: [{ kind: 'assign', assignment }], now: this.now });
    } else if (node.partition !== undefined) {
      const change = { kind: 'unassign', topicId: 'id-1', partition: 0, deleted: false } as const;
      this.#send(node, { type: 'assigned', changes: [change], now: this.now });
    }
    this.#send(node, { type: 'caughtUp', metadataOffset: node.heard });
  }

  /** One message of some stream arrives. */
  #deliver(node: Node): void {
    const { random } = this.options;
    if (random.below(2) === 0) {
      const streams = [...node.incoming.values()];
      const stream = streams[random.below(Math.max(1, streams.length))];
      const message = stream?.toLeader.shift();
      if (stream !== undefined && message !== undefined) this.#toLeader(stream, message);
    } else {
      const stream = node.link;
      if (stream === undefined || !stream.accepted) return;
      const message = stream.toFollower.shift();
      if (message !== undefined) this.#toFollower(stream, message);
      else if (stream.leaderGone) this.#loseLink(node);
    }
  }

  /** A leader sends what it has, or how far it is. */
  #push(node: Node): void {
    const { partition } = node;
    if (partition === undefined) return;
    const { highWatermark, logStartOffset, logEndOffset } = partition;
    const mark = { highWatermark, logStartOffset, logEndOffset };
    for (const stream of node.incoming.values()) {
      if (stream.toFollower.length > 4) continue;
      for (const [handle, served] of stream.served) {
        if (served.position === undefined) continue;
        const entries = node.log.slice(served.position, served.position + 1 + this.options.random.below(3));
        served.position += entries.length;
        if (entries.length > 0) stream.toFollower.push({ kind: 'batches', handle, entries, mark });
        else stream.toFollower.push({ kind: 'mark', handle, mark });
      }
    }
  }

  /** A stream that is wanted is opened, or one on its way arrives. */
  #link(node: Node): void {
    const { partition } = node;
    if (partition === undefined) return;
    if (node.link === undefined && node.wantsLink !== -1) {
      const leader = this.nodes.get(node.wantsLink);
      if (leader === undefined) return;
      node.link = new Stream(node, leader, node.brokerEpoch, ++this.#sessions);
    }
    const stream = node.link;
    if (stream === undefined || stream.accepted || stream.leader.isOver) {
      if (stream?.leader.isOver === true) this.#loseLink(node);
      return;
    }
    stream.accepted = true;
    const before = stream.leader.incoming.get(node.id);
    if (before !== undefined) this.#leaderGivesUp(before);
    stream.leader.incoming.set(node.id, stream);
  }

  #call(): void {
    if (this.#calls.length === 0) return;
    const [call] = this.#calls.splice(this.options.random.below(this.#calls.length), 1);
    if (call !== undefined) call.run();
  }

  #work(node: Node): void {
    const work = node.fileWork;
    node.fileWork = undefined;
    work?.();
  }

  #timePasses(): void {
    this.now += LAG_MS;
    for (const node of this.nodes.values()) {
      this.#send(node, { type: 'isrCheck', now: this.now });
      this.#send(node, { type: 'tick', now: this.now });
    }
  }

  /** The power goes; the disk keeps some of what it had not synced. */
  #restart(node: Node): void {
    this.counts.restarts += 1;
    node.isOver = true;
    for (const stream of node.incoming.values()) stream.leaderGone = true;
    if (node.link !== undefined) node.link.followerGone = true;
    const kept = node.stable + this.options.random.below(node.log.length - node.stable + 1);
    this.#begin(node.id, this.controller.register(node.id), node.log.slice(0, kept));
  }

  #break(node: Node): void {
    const stream = node.link;
    if (stream === undefined) return;
    // What is on its way may still reach the leader; the follower goes on without it.
    stream.toLeader.length = this.options.random.below(stream.toLeader.length + 1);
    this.#loseLink(node);
  }

  #corrupt(node: Node): void {
    const { partition } = node;
    if (partition?.log.kind !== 'online') return;
    this.#send(node, { type: 'logFailed', partition, reason: 'planted', corrupt: true });
    if (this.options.plant?.rebuildsAtOnce === true) {
      node.log = [];
      node.stable = 0;
      this.counts.rebuilds += 1;
    }
  }

  // --- the two ends of a stream ---

  #toLeader(stream: Stream, message: ToLeader): void {
    const { leader } = stream;
    const { partition } = leader;
    if (leader.isOver || stream.leaderGone) return;
    if (message.kind === 'follow') {
      const { handle, follow } = message;
      const sink: FollowSink = {
        positioned: (position) => this.#positioned(stream, handle, follow, position),
        ended: () => this.#endHandle(stream, handle),
        moved: () => {},
      };
      if (partition === undefined) {
        stream.toFollower.push({ kind: 'ended', handle });
        return;
      }
      stream.served.set(handle, { sink, position: undefined });
      // The session opens the log first; here it is open at once or refused.
      this.#send(leader, { type: 'wanted', partition });
      this.#send(leader, { type: 'followed', partition, follow, sink });
      return;
    }
    const served = stream.served.get(message.handle);
    if (served?.position === undefined || partition === undefined) return;
    this.#send(leader, {
      type: 'followerProgress',
      partition,
      brokerId: stream.follower.id,
      sink: served.sink,
      logEndOffset: message.logEndOffset,
      logStartOffset: message.start,
      now: this.now,
    });
  }

  #positioned(stream: Stream, handle: number, follow: Follow, position: FollowPosition): void {
    const { partition } = stream.leader;
    const served = stream.served.get(handle);
    if (partition === undefined || served === undefined) return;
    if (position.kind === 'agreed') served.position = follow.logEndOffset;
    else this.#forgetHandle(stream, handle);
    const { highWatermark, logStartOffset, logEndOffset } = partition;
    const mark = { highWatermark, logStartOffset, logEndOffset };
    stream.toFollower.push({ kind: 'position', handle, position, mark });
  }

  #endHandle(stream: Stream, handle: number): void {
    if (!stream.served.has(handle)) return;
    this.#forgetHandle(stream, handle);
    stream.toFollower.push({ kind: 'ended', handle });
  }

  #forgetHandle(stream: Stream, handle: number): void {
    const served = stream.served.get(handle);
    const { partition } = stream.leader;
    stream.served.delete(handle);
    if (served === undefined || partition === undefined) return;
    this.#send(stream.leader, { type: 'unfollowed', partition, brokerId: stream.follower.id, sink: served.sink });
  }

  #leaderGivesUp(stream: Stream): void {
    stream.leaderGone = true;
    for (const handle of [...stream.served.keys()]) this.#forgetHandle(stream, handle);
  }

  #toFollower(stream: Stream, message: ToFollower): void {
    const { follower } = stream;
    const { partition } = follower;
    if (follower.isOver || partition === undefined) return;
    switch (message.kind) {
      case 'hello':
        return this.#send(follower, { type: 'linked', partition });
      case 'position': {
        const { handle, position, mark } = message;
        const own = position.kind === 'diverging' ? follower.endOffsetForEpoch(position.epoch) : undefined;
        return this.#send(follower, { type: 'positioned', partition, handle, position, mark, own });
      }
      case 'batches': {
        const { handle, entries, mark } = message;
        const batches = { bytes: new Uint8Array(0), entries };
        return this.#send(follower, { type: 'batches', partition, handle, batches, mark });
      }
      case 'mark':
        return this.#send(follower, { type: 'marked', partition, handle: message.handle, mark: message.mark });
      case 'ended':
        return this.#send(follower, { type: 'followEnded', partition, handle: message.handle });
    }
  }

  #loseLink(node: Node): void {
    const { link, partition } = node;
    if (link === undefined) return;
    link.followerGone = true;
    node.link = undefined;
    if (partition !== undefined) this.#send(node, { type: 'unlinked', partition, handle: node.linkedHandle });
  }

  // --- effects ---

  #send(node: Node, event: ReplicaEvent<Token>): void {
    if (node.isOver) return;
    for (const effect of node.manager.handle(event)) {
      const { meddle } = this.options;
      const done = meddle === undefined ? effect : meddle(effect, node);
      if (done !== undefined) this.#execute(node, done);
    }
    for (let next = this.#afterTurn.shift(); next !== undefined; next = this.#afterTurn.shift()) next();
  }

  #execute(node: Node, effect: ReplicaEffect<Token>): void {
    switch (effect.type) {
      case 'openLog':
        return this.#opensLater(node, effect.partition, () => {});
      case 'append': {
        const { partition, produce, leaderEpoch } = effect;
        const baseOffset = node.log.length;
        node.log.push({ epoch: leaderEpoch, value: produce.token.value });
        const endOffset = node.log.length;
        this.#send(node, {
          ...{ type: 'appended', partition, produce, baseOffset, endOffset, logAppendTimeMs: -1, duplicate: false },
        });
        return;
      }
      case 'respond':
        if (effect.outcome.kind === 'appended' && effect.token.acks === 'all')
          this.acknowledged.push(effect.token.value);
        return;
      case 'position':
        return this.#position(node, effect);
      case 'endFollow':
        return effect.sink.ended(effect.error);
      case 'proposeIsr':
        return this.#propose(node, effect.partition, effect.proposal);
      case 'attach':
        node.wantsLink = effect.leader;
        if (node.link?.leader.id !== effect.leader) this.#loseLink(node);
        // Only the leader's hello has come when there is nothing left of it on its way.
        else if (node.link.accepted && node.link.toFollower[0]?.kind !== 'hello') {
          this.#send(node, { type: 'linked', partition: effect.partition });
        }
        return;
      case 'detach':
        node.wantsLink = -1;
        if (node.link !== undefined) node.link.followerGone = true;
        node.link = undefined;
        return;
      case 'ask':
        return this.#ask(node, effect.partition, effect.handle);
      case 'truncateLog':
        this.counts.truncations += 1;
        return this.#opensLater(node, effect.partition, () => {
          node.log.length = Math.min(node.log.length, effect.to);
        });
      case 'restartLog':
        return this.#opensLater(node, effect.partition, () => {
          if (effect.at !== 0) throw new Error('logs begin at 0');
          node.log.length = 0;
        });
      case 'replicate':
        return this.#replicate(node, effect);
      case 'acknowledge': {
        const logEndOffset = this.options.plant?.acknowledgesUnsynced === true ? node.log.length : node.stable;
        node.link?.toLeader.push({ kind: 'acknowledge', handle: effect.handle, logEndOffset, start: 0 });
        return;
      }
      case 'pause': {
        const { partition, handle } = effect;
        return this.#callLater(node, () => this.#send(node, { type: 'paused', partition, handle }));
      }
      case 'reportOffline': {
        const { partition } = effect;
        return this.#callLater(node, () => {
          const metadataOffset = this.controller.reportOffline(node.id);
          this.#callLater(node, () => this.#send(node, { type: 'offlineReported', partition, metadataOffset }));
        });
      }
      case 'reviveLog':
        this.counts.rebuilds += 1;
        return this.#opensLater(node, effect.partition, () => {
          node.log = [];
        });
      case 'deleteLog':
        node.log = [];
        node.stable = 0;
        node.fileWork = undefined;
        return;
      default:
        return;
    }
  }

  #position(node: Node, { partition, follow, sink }: Extract<ReplicaEffect<Token>, { type: 'position' }>): void {
    const isBlind = this.options.plant?.agreesBlindly === true && follow.logEndOffset <= node.log.length;
    sink.positioned(
      isBlind ? { kind: 'agreed' } : positionOf(partition, follow, node.endOffsetForEpoch(follow.lastEpoch)),
    );
  }

  #opensLater(node: Node, partition: Partition<Token>, work: () => void): void {
    node.fileWork = () => {
      work();
      node.stable = node.log.length;
      const logEndOffset = node.log.length;
      this.#send(node, { type: 'opened', partition, logStartOffset: 0, logEndOffset, highWatermark: 0 });
    };
  }

  #ask(node: Node, partition: Partition<Token>, handle: number): void {
    const { leaderEpoch, partitionEpoch, logEndOffset } = partition;
    const lastEpoch = node.latestEpoch();
    node.linkedHandle = handle;
    const follow: Follow = {
      brokerId: node.id,
      brokerEpoch: node.brokerEpoch,
      leaderEpoch,
      partitionEpoch,
      lastEpoch,
      logStartOffset: 0,
      logEndOffset,
    };
    node.link?.toLeader.push({ kind: 'follow', handle, follow });
  }

  #replicate(node: Node, effect: Extract<ReplicaEffect<Token>, { type: 'replicate' }>): void {
    const { partition, handle } = effect;
    const { entries } = effect.batches as unknown as { entries: readonly Entry[] };
    for (const entry of entries) {
      if (entry.epoch < node.latestEpoch()) throw new Error('a follower appends an epoch below its last');
      node.log.push(entry);
    }
    this.#send(node, { type: 'replicated', partition, handle, endOffset: node.log.length });
  }

  #propose(node: Node, partition: Partition<Token>, proposal: IsrProposal): void {
    const before = this.controller.assignment.isr.length;
    const answerWith = (answer: IsrAnswer) => (): void =>
      this.#send(node, { type: 'isrAnswered', partition, proposal, answer, now: this.now });
    let isAnswered = false;
    if (this.options.plant?.forgetsProposals === true) {
      isAnswered = true;
      this.#afterTurn.push(answerWith({ kind: 'refused' }));
    }
    this.#callLater(
      node,
      () => {
        const answer = this.controller.alterPartition(node.id, node.brokerEpoch, proposal);
        if (this.controller.assignment.isr.length > before) this.counts.admissions += 1;
        if (isAnswered) return;
        isAnswered = true;
        const isLost = !this.#isCalm && this.options.random.below(4) === 0;
        this.#callLater(node, answerWith(isLost ? { kind: 'unknown' } : answer));
      },
      true,
    );
    // The call times out while the request is still on its way.
    if (this.#isCalm || this.options.random.below(4) > 0) return;
    this.#callLater(node, () => {
      if (isAnswered) return;
      isAnswered = true;
      answerWith({ kind: 'unknown' })();
    });
  }

  /** `outlives`: it is on its way to the controller, whatever becomes of its sender. */
  #callLater(sender: Node, run: () => void, outlives = false): void {
    this.#calls.push({
      sender,
      run: () => {
        if (outlives || !sender.isOver) run();
      },
    });
  }

  // --- lives ---

  #begin(id: number, brokerEpoch: number, log: Entry[]): void {
    const node = new Node(id, brokerEpoch, log);
    this.nodes.set(id, node);
    // It has seen itself registered before it takes part (race 19).
    const isOld = this.options.plant?.startsWithOldImage === true;
    node.heard = this.controller.offset - 1 - (isOld ? Math.min(2, this.controller.offset - 1) : 0);
    this.#hear(node);
    this.#send(node, { type: 'started' });
    if (node.partition !== undefined) this.#send(node, { type: 'wanted', partition: node.partition });
  }

  #anyNode(): Node {
    const nodes = [...this.nodes.values()];
    const node = nodes[this.options.random.below(nodes.length)];
    if (node === undefined) throw new Error('there are nodes');
    return node;
  }

  /** The last one, whose log is corrupt: its loss is a fact, which no protocol mends. */
  #isKnownLoss(id: number): boolean {
    const { isr } = this.controller.assignment;
    return isr.length === 1 && isr[0] === id && this.nodes.get(id)?.partition?.log.kind === 'offline';
  }
}
