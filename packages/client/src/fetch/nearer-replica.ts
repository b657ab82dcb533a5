/**
 * Whether a partition is to be read from its leader or from a replica nearer to the reader (KIP-392), as
 * far as leaders have named one. Pure; the fetch session does the moving.
 *
 * Invariants:
 *   N1  a replica counts only under the leader epoch in which it was named, and for LEASE_MS: it may fall
 *       behind, or be cut off from its leader, and would never say so
 *   N2  a replica that has refused or failed is not asked again for AGAIN_MS, under the same leader epoch:
 *       the leader would name it again at once, for as long as it does not know better
 */

/** How long after a leader has named nobody, or somebody who failed, it is asked once more. */
const AGAIN_MS = 30_000;
/** As Kafka's metadata.max.age.ms, for which a consumer holds to a replica. */
const LEASE_MS = 300_000;

export class NearerReplica {
  readonly #rack: string;
  #leaderEpoch = -1;
  #named: { readonly brokerId: number; readonly untilMs: number } | undefined;
  #askAtMs = 0;

  /** Empty: the reader does not say where it stands, and reads from leaders. */
  constructor(rack: string) {
    this.#rack = rack;
  }

  /** When the leader is to be asked next; infinity if never. */
  get askAtMs(): number {
    if (this.#rack === '') return Number.POSITIVE_INFINITY;
    return this.#named?.untilMs ?? this.#askAtMs;
  }

  /** The replica that the leader of this epoch has named. */
  under(leaderEpoch: number, nowMs: number): number | undefined {
    const isOver = this.#named !== undefined && nowMs >= this.#named.untilMs;
    if (leaderEpoch !== this.#leaderEpoch || isOver) {
      this.#leaderEpoch = leaderEpoch;
      this.#named = undefined;
      this.#askAtMs = 0;
    }
    return this.#named?.brokerId;
  }

  /** The rack to give to the leader; empty if it is not to be asked now. Counts as asked. */
  askLeader(nowMs: number): string {
    if (nowMs < this.askAtMs) return '';
    this.#askAtMs = nowMs + AGAIN_MS;
    return this.#rack;
  }

  /** The rack to give to a replica that was named: followers serve nobody else. */
  get rack(): string {
    return this.#rack;
  }

  /** What the leader of that epoch has answered. */
  named(brokerId: number, leaderEpoch: number, nowMs: number): void {
    if (leaderEpoch === this.#leaderEpoch) this.#named = { brokerId, untilMs: nowMs + LEASE_MS };
  }

  /** The replica does not serve: back to the leader, and to no other for a while. */
  failed(nowMs: number): void {
    this.#named = undefined;
    this.#askAtMs = nowMs + AGAIN_MS;
  }
}
