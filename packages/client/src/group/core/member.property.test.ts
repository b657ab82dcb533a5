/**
 * Members of a group under misfortune, against a model of the coordinator: requests and answers are lost, late
 * and come twice, members are removed, applications are slow to release, subscriptions change, memberships are
 * resumed while the old node still speaks. Judged by what applications were told:
 *
 *   J1  no two applications work on a partition, unless the group has removed one of them
 *   J2  an application is never given what it has already
 *   J4  once misfortune ends, every partition is worked on by exactly one, and all agree with the coordinator
 */
import { SeededRandom } from '@barnabas/common';
import { BarnabasError, v1 } from '@barnabas/protocol';
import fc from 'fast-check';
import { FakeGroup } from '../../testing/fake-group.js';
import type { FakeTopicPartition } from '../../testing/fake-group.js';
import { heartbeatRequest, toAnswer } from '../group-wire.js';
import { Member } from './member.js';
import type { Heartbeat, MemberEffect, ResumedMember } from './member-rules.js';

const REBALANCE_MS = 30_000;

interface Letter {
  readonly to: Node;
  readonly id: number;
  readonly heartbeat: Heartbeat;
}

/** An application and the member that speaks for it. */
class Node {
  readonly member: Member;
  /** By `topic-partition`. */
  readonly working = new Set<string>();
  readonly toRelease = new Map<string, FakeTopicPartition & { readonly deadlineMs: number }>();
  isOver = false;
  /** The group is told that it may be gone: nothing that it does counts any more. */
  isRemoved = false;
  /** The id under which its client goes on elsewhere: what it is told under it reaches nobody. */
  resumedElsewhere = '';
  readonly isResumable: boolean;
  /** What its client works on already, and is told of again. */
  readonly resumed = new Set<string>();

  constructor(
    readonly name: string,
    options: { readonly resume?: ResumedMember; readonly isResumable?: boolean; readonly newId: () => string },
  ) {
    this.isResumable = options.isResumable ?? false;
    this.member = new Member({
      instanceId: '',
      rebalanceTimeoutMs: REBALANCE_MS,
      subscription: { topics: ['a', 'b'], pattern: '' },
      isResumable: this.isResumable,
      resume: options.resume,
      newMemberId: options.newId,
    });
  }
}

class Life {
  readonly #random: SeededRandom;
  readonly #group: FakeGroup;
  readonly #counts = new Map([
    ['a', 3],
    ['b', 2],
  ]);
  #nodes: Node[] = [];
  #letters: Letter[] = [];
  #now = 0;
  #ids = 0;
  moves = 0;

  constructor(seed: number) {
    this.#random = new SeededRandom(seed);
    this.#group = new FakeGroup(() =>
      [...this.#counts].flatMap(([topic, count]) =>
        Array.from({ length: count }, (_, partition) => ({ topic, topicId: `id-${topic}`, partition })),
      ),
    );
  }

  run(steps: number): void {
    for (let step = 0; step < steps; step++) {
      this.#step();
      this.#judge();
    }
    this.#heal();
  }

  #step(): void {
    const dice = this.#random.below(100);
    if (dice < 5) this.#arrive();
    else if (dice < 55) this.#deliver();
    else if (dice < 70) this.#release();
    else if (dice < 80) this.#pass(this.#random.below(3_000));
    else if (dice < 83)
      this.#pick((node) =>
        node.member.subscribe({ topics: ['a', 'b'].slice(this.#random.below(2)), pattern: '' }, this.#now),
      );
    else if (dice < 86) this.#pick((node) => node.member.enforceRebalance(this.#now));
    else if (dice < 88) this.#pick((node) => this.#leave(node));
    else if (dice < 91) this.#remove();
    else if (dice < 94) this.#resumeElsewhere();
    else if (dice < 95) this.#counts.set('a', Math.min(8, (this.#counts.get('a') ?? 0) + 1));
    else this.#lose();
  }

  #arrive(): void {
    if (this.#alive().length >= 4) return;
    const isResumable = this.#random.below(2) === 0;
    const node = new Node(`n${this.#nodes.length}`, { newId: () => `m${this.#ids++}`, isResumable });
    this.#nodes.push(node);
    node.member.start(this.#now);
    this.#drain(node);
  }

  /** The client of a node goes on at another; the old node has not noticed. */
  #resumeElsewhere(): void {
    this.#pick((node) => {
      const { memberId, memberEpoch, incarnation } = node.member.identity;
      if (memberEpoch <= 0 || node.isRemoved || !node.isResumable) return;
      const owned = [...node.working].map(toPartition);
      const newId = (): string => `m${this.#ids++}`;
      const resume = { memberId, memberEpoch, incarnation: incarnation + 1, owned };
      const next = new Node(`${node.name}'`, { newId, isResumable: true, resume });
      for (const key of node.working) {
        next.working.add(key);
        next.resumed.add(key);
      }
      // The client works on what the new node says; the old one goes on by itself.
      node.working.clear();
      node.resumed.clear();
      node.toRelease.clear();
      node.isRemoved = true;
      node.resumedElsewhere = memberId;
      this.#nodes.push(next);
      next.member.start(this.#now);
      this.#drain(next);
    });
  }

  #leave(node: Node): void {
    node.working.clear();
    node.toRelease.clear();
    node.isOver = true;
    node.member.leave(this.#now);
  }

  /** Its session is over for the coordinator; it works on, not knowing. */
  #remove(): void {
    const ids = [...this.#group.members.keys()];
    const id = ids[this.#random.below(Math.max(1, ids.length))];
    if (id === undefined) return;
    this.#group.remove(id);
    this.#outOfTheGroup(id);
  }

  #outOfTheGroup(memberId: string): void {
    for (const node of this.#nodes) if (node.member.identity.memberId === memberId) node.isRemoved = true;
  }

  #release(): void {
    this.#pick((node) => {
      const [key, partition] = [...node.toRelease][0] ?? [];
      if (node.member.identity.memberId === node.resumedElsewhere) return;
      if (key === undefined || partition === undefined) return;
      node.toRelease.delete(key);
      node.working.delete(key);
      node.member.released([partition], this.#now);
    });
  }

  #pass(byMs: number): void {
    this.#now += byMs;
    for (const node of this.#nodes) {
      this.#endGraces(node);
      node.member.tick(this.#now);
      this.#drain(node);
    }
  }

  /** What is over its grace is stopped, also by a client that has not been heard of since it went elsewhere. */
  #endGraces(node: Node): void {
    for (const [key, { deadlineMs }] of node.toRelease) {
      if (deadlineMs > this.#now) continue;
      node.toRelease.delete(key);
      const { memberId } = node.member.identity;
      for (const one of this.#nodes) if (one.member.identity.memberId === memberId) one.working.delete(key);
      for (const one of this.#nodes) if (one.member.identity.memberId === memberId) one.resumed.delete(key);
    }
  }

  #lose(): void {
    const letter = this.#letters[this.#random.below(Math.max(1, this.#letters.length))];
    if (letter === undefined) return;
    this.#letters = this.#letters.filter((other) => other !== letter);
    letter.to.member.failed(letter.id, new BarnabasError('NETWORK_EXCEPTION', 'lost'), this.#now);
    this.#drain(letter.to);
  }

  #deliver(): void {
    const at = this.#random.below(Math.max(1, Math.min(4, this.#letters.length)));
    const letter = this.#letters[at];
    if (letter === undefined) return;
    // One in ten comes once more later.
    if (this.#random.below(10) > 0) this.#letters.splice(at, 1);
    this.#hand(letter, this.#random.below(8) === 0);
  }

  #hand({ to, id, heartbeat }: Letter, isAnswerLost: boolean): void {
    try {
      const description = { groupId: 'g', instanceId: '', rackId: '', clientId: '', assignor: '' };
      const request = heartbeatRequest({ ...description, rebalanceTimeoutMs: REBALANCE_MS }, heartbeat);
      const answer = toAnswer(this.#group.heartbeat(overTheWire(request)));
      if (heartbeat.kind === 'leave') this.#outOfTheGroup(heartbeat.memberId);
      if (isAnswerLost) to.member.failed(id, new BarnabasError('REQUEST_TIMED_OUT', 'lost'), this.#now);
      else to.member.answered(id, answer, this.#now);
    } catch (error) {
      if (!(error instanceof BarnabasError)) throw error;
      to.member.failed(id, error, this.#now);
    }
    this.#drain(to);
  }

  #drain(node: Node): void {
    for (const effect of node.member.takeEffects()) this.#perform(node, effect);
  }

  #perform(node: Node, effect: MemberEffect): void {
    switch (effect.kind) {
      case 'send':
        this.#letters.push({ to: node, id: effect.id, heartbeat: effect.heartbeat });
        return;
      case 'farewell':
        this.#letters.push({ to: node, id: -1, heartbeat: effect.heartbeat });
        return;
      case 'joined':
        if (node.member.identity.memberId !== node.resumedElsewhere) node.isRemoved = false;
        return;
      case 'assigned':
        for (const one of effect.partitions) {
          const key = keyOf(one);
          const isResumed = node.resumed.delete(key);
          expect([node.name, key, node.working.has(key)]).toEqual([node.name, key, isResumed]); // J2
          node.working.add(key);
          this.moves++;
        }
        return;
      case 'revoked':
        for (const one of effect.partitions) {
          node.resumed.delete(keyOf(one));
          node.toRelease.set(keyOf(one), { ...one, deadlineMs: this.#now + effect.graceMs });
        }
        return;
      case 'lost':
      case 'fatal':
        node.working.clear();
        node.resumed.clear();
        node.toRelease.clear();
        if (effect.kind === 'fatal') node.isOver = true;
        return;
      default:
    }
  }

  #judge(): void {
    const owners = new Map<string, string>();
    for (const node of this.#nodes.filter(({ isRemoved }) => !isRemoved)) {
      for (const key of node.working) {
        expect([key, owners.get(key), node.name]).toEqual([key, undefined, node.name]); // J1
        owners.set(key, node.name);
      }
    }
  }

  #heal(): void {
    if (this.#alive().length === 0) this.#arrive();
    this.#settle();
    // Nodes whose client has gone elsewhere notice that their connection is dead.
    for (const node of this.#nodes.filter((one) => one.member.identity.memberId === one.resumedElsewhere)) {
      node.member.abandon();
      node.isOver = true;
    }
    // Nodes of which the group hears nothing more.
    const alive = new Set(this.#alive().map(({ member }) => member.identity.memberId));
    for (const id of [...this.#group.members.keys()]) if (!alive.has(id)) this.#group.remove(id);
    this.#settle();
    this.#judge();
    const worked = this.#alive().flatMap(({ working }) => [...working]);
    const subscribed = new Set([...this.#group.members.values()].flatMap(({ topics }) => topics));
    const all = [...this.#counts]
      .filter(([topic]) => subscribed.has(topic))
      .flatMap(([topic, count]) => Array.from({ length: count }, (_, partition) => `${topic}-${partition}`));
    expect(worked.sort()).toEqual(all.sort()); // J4
  }

  /** Everything arrives, and everybody does at once what they are asked to. */
  #settle(): void {
    for (let round = 0; round < 60; round++) {
      while (this.#letters.length > 0) this.#hand(this.#letters.shift() as Letter, false);
      for (const node of this.#nodes) {
        for (const key of node.toRelease.keys()) node.working.delete(key);
        node.member.released([...node.toRelease.values()], this.#now);
        node.toRelease.clear();
        this.#drain(node);
      }
      this.#pass(1_000);
    }
  }

  #alive(): Node[] {
    return this.#nodes.filter(({ isOver, member }) => !isOver && !member.isOver);
  }

  #pick(run: (node: Node) => void): void {
    const alive = this.#alive();
    const node = alive[this.#random.below(Math.max(1, alive.length))];
    if (node === undefined) return;
    run(node);
    this.#drain(node);
  }
}

function overTheWire(request: v1.ConsumerGroupHeartbeatRequest): v1.ConsumerGroupHeartbeatRequest {
  return v1.ConsumerGroupHeartbeatRequest.decode(v1.ConsumerGroupHeartbeatRequest.encode(request).finish());
}

function keyOf({ topic, partition }: { readonly topic: string; readonly partition: number }): string {
  return `${topic}-${partition}`;
}

function toPartition(key: string): FakeTopicPartition {
  const [topic = '', number = ''] = key.split('-');
  return { topic, topicId: `id-${topic}`, partition: Number(number) };
}

test('whatever happens, partitions have one owner, and in the end all have one', () => {
  let moves = 0;
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 1_000_000_000 }), (seed) => {
      const life = new Life(seed);
      life.run(250);
      moves += life.moves;
    }),
    { numRuns: 40 },
  );
  expect(moves).toBeGreaterThan(400);
});
