/**
 * Where the controllers are: what the configuration says, and what the quorum has said of itself
 * since. One for a node, shared by whatever talks to controllers, so that what one part has learned
 * serves the others.
 *
 * Invariants:
 *   D1  there is always somebody to ask: what is configured is never forgotten, since a list that was
 *       learned may be of voters who are all gone
 *   D2  an id has one place at most, the newest that is known
 */
import { assert } from '@barnabas/common';
import { formatAddress } from '@barnabas/common/config';
import type { Address, QuorumVoter } from '@barnabas/common/config';

/** Somebody to ask. */
export interface ControllerPlace extends Address {
  /** node.id; undefined for a bootstrap server that has not said. */
  readonly id: number | undefined;
}

/** The keys by which a node is told where its controllers are; one of them is enough. */
export interface ControllerSeeds {
  readonly 'controller.quorum.voters': readonly QuorumVoter[] | null;
  readonly 'controller.quorum.bootstrap.servers': readonly Address[] | null;
}

export class ControllerDirectory {
  readonly #seeds: readonly ControllerPlace[];
  #voters: readonly QuorumVoter[];
  #places: readonly ControllerPlace[];

  constructor(seeds: readonly ControllerPlace[]) {
    assert(seeds.length > 0, 'a node knows at least one controller');
    this.#seeds = seeds;
    this.#voters = seeds.filter((seed): seed is QuorumVoter => seed.id !== undefined);
    this.#places = distinct(seeds);
  }

  static of(config: ControllerSeeds): ControllerDirectory {
    const voters = config['controller.quorum.voters'] ?? [];
    const servers = config['controller.quorum.bootstrap.servers'] ?? [];
    return new ControllerDirectory([...voters, ...servers.map((server) => ({ ...server, id: undefined }))]);
  }

  /** Everybody to ask, those first whom the quorum has named. */
  get places(): readonly ControllerPlace[] {
    return this.#places;
  }

  /** The voters as the quorum has named them last; until it has, those of the configuration. */
  get voters(): readonly QuorumVoter[] {
    return this.#voters;
  }

  withId(id: number | undefined): ControllerPlace | undefined {
    return id === undefined ? undefined : this.#places.find((place) => place.id === id);
  }

  /** In turn, beginning anywhere. */
  at(turn: number): ControllerPlace {
    const place = this.#places[turn % this.#places.length];
    assert(place !== undefined, 'a node knows at least one controller');
    return place;
  }

  /** The quorum has said who votes. A controller that does not know yet says nothing: that is no news. */
  learn(voters: readonly QuorumVoter[]): void {
    const reachable = voters.filter(({ host, port }) => host !== '' && port > 0);
    if (reachable.length === 0) return;
    this.#voters = reachable.map(({ id, host, port }) => ({ id, host, port }));
    const ids = new Set(reachable.map(({ id }) => id));
    // D2: a voter that has moved is not looked for where the configuration says it was.
    this.#places = distinct([...this.#voters, ...this.#seeds.map((seed) => anonymous(seed, ids))]);
  }
}

/** A seed whose id the quorum uses for another place is an address to ask like any other. */
function anonymous(seed: ControllerPlace, ids: ReadonlySet<number>): ControllerPlace {
  return seed.id !== undefined && ids.has(seed.id) ? { ...seed, id: undefined } : seed;
}

/** The first of each address. */
function distinct(places: readonly ControllerPlace[]): readonly ControllerPlace[] {
  const byAddress = new Map<string, ControllerPlace>();
  for (const place of places) {
    const address = formatAddress(place);
    if (!byAddress.has(address)) byAddress.set(address, place);
  }
  return [...byAddress.values()];
}
