/**
 * Whom this node keeps connections with, and how one without a vote makes itself known.
 *
 * Of two voters, the one with the lower id calls the other. A node without a vote calls every voter
 * that it knows of, and its bootstrap servers; again and again it announces itself to all of them.
 * Whoever leads sends it the log from then on. The answers say who votes, so that it finds all voters
 * by one that it was given; once it is a learner, its own log says so as well.
 *
 * A voter that knows of no leader for long does the same: it may have been removed while it was away,
 * and then nobody calls it any more, or answers when it stands for election.
 */
import type { Timer, Timers } from '@barnabas/common';
import { isSame } from '../core/index.js';
import type { Configuration, Member } from '../core/index.js';
import type { Announce, AnnounceResponse } from '../peer-message.js';
import type { DialTarget } from '../transport/types.js';

export interface DiscoveryPorts {
  readonly self: Member;
  readonly bootstrapServers: readonly string[];
  readonly timers: Timers;
  readonly intervalMs: number;
  readonly connect: (targets: readonly DialTarget[]) => void;
  readonly send: (message: Announce) => void;
  readonly term: () => number;
  readonly knowsLeader: () => boolean;
}

/** So many intervals without a leader are more than an election takes. */
const LOST_AFTER_INTERVALS = 10;

export class Discovery {
  #configuration: Configuration | undefined;
  /** As somebody else has told; of use while this node's own log does not say who votes. */
  #told: readonly Member[] = [];
  #targets = '';
  #timer: Timer | undefined;
  #intervalsWithoutLeader = 0;

  constructor(readonly ports: DiscoveryPorts) {}

  /** Who votes, as far as this node knows. */
  get voters(): readonly Member[] {
    const own = this.#configuration?.voters ?? [];
    return own.length > 0 ? own : this.#told;
  }

  start(configuration: Configuration): void {
    this.follow(configuration);
    this.#announce();
  }

  stop(): void {
    this.#timer?.cancel();
  }

  /** The configuration in force; the same object while it is the same. */
  follow(configuration: Configuration): void {
    if (configuration === this.#configuration) return;
    this.#configuration = configuration;
    this.#connect();
  }

  onResponse({ voters }: AnnounceResponse): void {
    this.#told = voters;
    this.#connect();
  }

  /** A voter in touch with the others. */
  get #belongs(): boolean {
    if (this.#intervalsWithoutLeader >= LOST_AFTER_INTERVALS) return false;
    return this.#configuration?.voters.some((voter) => isSame(voter, this.ports.self)) === true;
  }

  #connect(): void {
    const targets = this.#wanted();
    const asText = JSON.stringify(targets);
    if (asText === this.#targets) return;
    this.#targets = asText;
    this.ports.connect(targets);
  }

  #wanted(): DialTarget[] {
    const { self, bootstrapServers } = this.ports;
    const others = (members: readonly Member[]): Member[] =>
      members.filter(({ id, endpoint }) => id !== self.id && endpoint !== self.endpoint);
    if (this.#belongs)
      return others(this.voters)
        .filter(({ id }) => id > self.id)
        .map(target);
    const known = new Map<string, DialTarget>();
    for (const endpoint of bootstrapServers)
      if (endpoint !== self.endpoint) known.set(endpoint, { endpoint, id: undefined });
    for (const member of [...others(this.voters), ...others(this.#told)]) known.set(member.endpoint, target(member));
    return [...known.values()];
  }

  #announce(): void {
    const { self, timers, intervalMs, send, term, knowsLeader } = this.ports;
    this.#timer = timers.after(intervalMs, () => this.#announce());
    this.#intervalsWithoutLeader = knowsLeader() ? 0 : this.#intervalsWithoutLeader + 1;
    this.#connect();
    if (this.#belongs) return;
    for (const { endpoint: toEndpoint } of this.#wanted()) {
      const sender = { from: self.id, fromDirectory: self.directoryId, endpoint: self.endpoint };
      send({ type: 'announce', ...sender, term: term(), toEndpoint });
    }
  }
}

const target = ({ id, endpoint }: Member): DialTarget => ({ id, endpoint });
