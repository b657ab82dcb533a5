/**
 * Changes of the quorum's membership and transfers of the lead, as callers ask for them: what the core
 * does in single steps is carried through here, and waited for. Keeps no state of Raft: after each pass
 * of the driver it looks at the core again.
 *
 * Invariants:
 *   M1  one change at a time, and none beside a transfer
 *   M2  each call ends once; at its deadline at the latest
 */
import { deferred } from '@barnabas/common';
import type { Deferred, Timers } from '@barnabas/common';
import { BarnabasError } from '@barnabas/protocol';
import { isPlainText, isSame, memberOf } from '../core/index.js';
import type { ChangeRefusal, Member, MembershipChange, RaftCore, TransferRefusal } from '../core/index.js';
import type { MembershipOptions, ReplicaKey } from '../types.js';

export interface MembershipPorts {
  readonly self: Member;
  readonly core: RaftCore;
  readonly timers: Timers;
  /** Those who have announced themselves to this node lately. */
  readonly observers: () => readonly Member[];
  readonly notController: () => BarnabasError;
  /** The core has changed: a pass of the driver is due. */
  readonly wake: () => void;
}

interface Waiting {
  /** Looks at the core: undefined to wait on. May throw. */
  readonly look: () => unknown;
  readonly done: Deferred<unknown>;
}

export class Membership {
  #waiting: Waiting[] = [];
  #isBusy = false;
  /** The deadline of the call under way has passed. */
  #isLate = false;

  constructor(readonly ports: MembershipPorts) {}

  add(voter: ReplicaKey & { readonly endpoint?: string }, { timeoutMs }: MembershipOptions): Promise<void> {
    return this.#alone(timeoutMs, async () => {
      const { term } = await this.#leading();
      const { configuration } = this.ports.core.status;
      const known = memberOf(configuration, voter.id);
      const votes = known !== undefined && configuration.voters.includes(known);
      if (known !== undefined && (votes || !isMeant(voter, known))) {
        await this.#move(voter, known, term);
        return;
      }
      if (known === undefined) await this.#carryOut({ kind: 'addLearner', member: this.#observer(voter) }, term);
      await this.#promote(voter.id, term);
    });
  }

  remove(voter: ReplicaKey, { timeoutMs }: MembershipOptions): Promise<void> {
    return this.#alone(timeoutMs, async () => {
      const { term } = await this.#leading();
      const known = memberOf(this.ports.core.status.configuration, voter.id);
      if (known === undefined || !isMeant(voter, known)) throw notFound(voter);
      await this.#carryOut({ kind: 'remove', id: voter.id }, term);
    });
  }

  transfer(to: number | undefined, { timeoutMs }: MembershipOptions): Promise<number> {
    return this.#alone(timeoutMs, async () => {
      const { core, self, wake } = this.ports;
      if (to === self.id && core.status.role === 'leader') return self.id;
      const target = core.transferLeadership(to);
      if (typeof target === 'string') throw this.#refused(target);
      const { term } = core.status;
      wake();
      return this.#until(() => {
        const { role, leaderId, transferringTo, term: now } = core.status;
        if (role === 'leader' && now === term) {
          if (transferringTo !== undefined) return undefined;
          throw new BarnabasError(
            'REQUEST_TIMED_OUT',
            `node ${target} did not take the lead within an election time-out: see whether it runs and follows`,
            { target },
          );
        }
        return leaderId;
      });
    });
  }

  /** After each pass: what has come about? */
  look(): void {
    const all = this.#waiting;
    this.#waiting = [];
    for (const waiting of all) {
      try {
        const result = waiting.look();
        if (result === undefined) this.#waiting.push(waiting);
        else waiting.done.resolve(result);
      } catch (error) {
        waiting.done.reject(error instanceof Error ? error : new Error(String(error)));
      }
    }
  }

  /** The deadline has passed, or the node stops. */
  end(): void {
    this.#isLate = true;
    for (const { done } of this.#waiting.splice(0)) done.reject(unknownOutcome());
  }

  /** Runs a call by itself, up to its deadline. */
  async #alone<T>(timeoutMs: number, run: () => Promise<T>): Promise<T> {
    if (this.#isBusy) throw this.#refused('busy');
    this.#isBusy = true;
    this.#isLate = false;
    const timer = this.ports.timers.after(timeoutMs, () => this.end());
    try {
      return await run();
    } finally {
      timer.cancel();
      this.#isBusy = false;
    }
  }

  /** This node leads and has committed an entry of its term: it may begin changes. */
  #leading(): Promise<{ readonly term: number }> {
    const { core } = this.ports;
    const leads = (): boolean => core.status.role === 'leader';
    if (!leads()) return Promise.reject(this.ports.notController());
    return this.#until(() => {
      if (!leads()) throw this.ports.notController();
      const { termStartIndex = 0, commitIndex, term } = core.status;
      return commitIndex >= termStartIndex ? { term } : undefined;
    });
  }

  /** Makes one change, and waits until it is committed. */
  async #carryOut(change: MembershipChange, term: number): Promise<void> {
    const { core, wake } = this.ports;
    if (core.status.term !== term) throw this.ports.notController();
    const placed = core.changeMembership(change);
    if (typeof placed === 'string') throw this.#refused(placed);
    wake();
    await this.#committed(placed);
  }

  #committed(placed: { readonly index: number; readonly term: number }): Promise<unknown> {
    const { core } = this.ports;
    return this.#until(() => {
      const { commitIndex, role, term } = core.status;
      // Also by a leader that has stepped down with it: it removed itself.
      if (commitIndex >= placed.index && core.termAt(placed.index) === placed.term) return true;
      if (role !== 'leader' || term !== placed.term) throw unknownOutcome();
      return undefined;
    });
  }

  async #promote(id: number, term: number): Promise<void> {
    const { core } = this.ports;
    for (;;) {
      await this.#until(() => {
        const { role, configuration, term: now } = core.status;
        const learner = memberOf(configuration, id);
        if (role !== 'leader' || now !== term || learner === undefined) throw unknownOutcome();
        return core.isCaughtUp(learner) || undefined;
      });
      const placed = core.changeMembership({ kind: 'promote', id });
      if (typeof placed !== 'string') {
        this.ports.wake();
        await this.#committed(placed);
        return;
      }
      // It has fallen behind again in this very moment.
      if (placed !== 'behind') throw this.#refused(placed);
    }
  }

  /** It is a member already: nothing but its endpoint can change. */
  async #move(voter: ReplicaKey & { readonly endpoint?: string }, known: Member, term: number): Promise<void> {
    const { endpoint } = voter;
    if (!isMeant(voter, known) || endpoint === undefined || endpoint === known.endpoint) {
      throw new BarnabasError(
        'DUPLICATE_VOTER',
        `node ${voter.id} is in the quorum already, with directory ${known.directoryId}: remove that one first if its disk is lost`,
        { id: known.id, directoryId: known.directoryId },
      );
    }
    checkEndpoint(endpoint);
    await this.#carryOut({ kind: 'update', member: { ...known, endpoint } }, term);
  }

  #observer(voter: ReplicaKey & { readonly endpoint?: string }): Member {
    const found = this.ports.observers().find((observer) => observer.id === voter.id && isMeant(voter, observer));
    if (found === undefined) throw notFound(voter);
    const endpoint = voter.endpoint ?? found.endpoint;
    checkEndpoint(endpoint);
    return { ...found, endpoint };
  }

  #until<T>(look: () => T | undefined): Promise<T> {
    if (this.#isLate) return Promise.reject(unknownOutcome());
    const done = deferred<unknown>();
    this.#waiting.push({ look, done });
    this.ports.wake();
    return done.promise as Promise<T>;
  }

  #refused(refusal: ChangeRefusal | TransferRefusal): BarnabasError {
    switch (refusal) {
      case 'notLeader':
        return this.ports.notController();
      case 'busy':
        return invalid('another change of the quorum, or a transfer of its lead, is under way: wait for its end');
      case 'exists':
        return new BarnabasError('DUPLICATE_VOTER', 'the node is in the quorum already');
      case 'unknown':
        return new BarnabasError('VOTER_NOT_FOUND', 'there is no such voter');
      case 'lastVoter':
        return invalid('the last voter cannot be removed: add another one first');
      case 'behind':
        return new BarnabasError('REQUEST_TIMED_OUT', 'the new voter has not caught up');
      case 'itself':
        return invalid('the node leads already');
      case 'nobody':
        return invalid('there is no other voter to take the lead');
    }
  }
}

function isMeant({ id, directoryId }: ReplicaKey, member: Member): boolean {
  return directoryId === undefined ? member.id === id : isSame(member, { id, directoryId });
}

function checkEndpoint(endpoint: string): void {
  if (endpoint === '' || !isPlainText(endpoint)) throw invalid(`a voter is reached at host:port, not ${endpoint}`);
}

function notFound({ id, directoryId }: ReplicaKey): BarnabasError {
  const disk = directoryId === undefined ? '' : ` with directory ${directoryId}`;
  return new BarnabasError(
    'VOTER_NOT_FOUND',
    `no node ${id}${disk} is known here: see that it runs and reaches this node`,
    {
      id,
    },
  );
}

function unknownOutcome(): BarnabasError {
  return new BarnabasError(
    'REQUEST_TIMED_OUT',
    'the change of the quorum was not completed in time: describe the quorum to see how far it has come',
  );
}

function invalid(text: string): BarnabasError {
  return new BarnabasError('INVALID_REQUEST', text);
}
