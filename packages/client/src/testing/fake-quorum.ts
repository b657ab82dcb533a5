/** The controllers of a fake cluster and its features, as plain tables that tests fill and administrators change. */
import { BarnabasError } from '@barnabas/protocol';
import type { v1 } from '@barnabas/protocol';

export class FakeQuorum {
  leaderId = 1;
  leaderEpoch = 1;
  highWatermark = 10;
  snapshotOffset = 0;
  voters: readonly v1.QuorumReplica[] = [fakeController(1)];
  observers: readonly v1.QuorumReplica[] = [];
  /** By name. */
  readonly features = new Map([['metadata.version', { level: 1, minSupported: 1, maxSupported: 1 }]]);

  describe(clusterId: string): v1.DescribeQuorumResponse {
    const { leaderId, leaderEpoch, highWatermark, snapshotOffset, voters, observers } = this;
    const members = { voters: [...voters], observers: [...observers] };
    return { clusterId, leaderId, leaderEpoch, highWatermark, snapshotOffset, ...members };
  }

  addVoter({ id, directoryId, host, port }: v1.AddVoterRequest): void {
    if (this.voters.some((voter) => voter.id === id)) {
      throw new BarnabasError('DUPLICATE_VOTER', `controller ${id} votes already`);
    }
    const observer = this.observers.find((one) => matches(one, id, directoryId));
    if (observer === undefined) throw notFound(id);
    this.observers = this.observers.filter((one) => one !== observer);
    this.voters = [...this.voters, host === '' ? observer : { ...observer, host, port }];
  }

  removeVoter({ id, directoryId }: v1.RemoveVoterRequest): void {
    const voter = this.voters.find((one) => matches(one, id, directoryId));
    if (voter === undefined) throw notFound(id);
    if (this.voters.length === 1) throw new BarnabasError('INVALID_REQUEST', 'the last voter cannot be removed');
    this.voters = this.voters.filter((one) => one !== voter);
    this.observers = [...this.observers, voter];
    if (this.leaderId === id) this.#lead(this.voters[0]?.id ?? -1);
  }

  transfer({ to }: v1.TransferQuorumLeadershipRequest): v1.TransferQuorumLeadershipResponse {
    const next = this.voters.find(({ id }) => (to === -1 ? id !== this.leaderId : id === to));
    if (next === undefined) throw notFound(to);
    this.#lead(next.id);
    return { leaderId: next.id };
  }

  describeFeatures(): v1.DescribeFeaturesResponse {
    const features = [...this.features].map(([name, feature]) => ({ name, ...feature }));
    return { features: features.sort((one, other) => (one.name < other.name ? -1 : 1)) };
  }

  updateFeatures({ updates, validateOnly }: v1.UpdateFeaturesRequest): void {
    for (const { name, level, allowDowngrade } of updates) {
      const feature = this.features.get(name);
      const refuse = (text: string) => new BarnabasError('FEATURE_UPDATE_FAILED', `${name}: ${text}`);
      if (feature === undefined) throw refuse('there is no such feature');
      if (level > feature.maxSupported || level < feature.minSupported) throw refuse(`level ${level} is not supported`);
      if (level < feature.level && !allowDowngrade) throw refuse('a downgrade must be allowed');
    }
    if (validateOnly) return;
    for (const { name, level } of updates) {
      const feature = this.features.get(name);
      if (feature !== undefined) this.features.set(name, { ...feature, level });
    }
  }

  #lead(id: number): void {
    this.leaderId = id;
    this.leaderEpoch++;
  }
}

/** A controller as DescribeQuorum shows it. */
export function fakeController(id: number, change: Partial<v1.QuorumReplica> = {}): v1.QuorumReplica {
  const place = { host: `controller-${id}.fake`, port: 7800 };
  return { id, directoryId: `directory-${id}`, ...place, logEndOffset: 10, lag: 0, lastContactMs: 0, ...change };
}

function matches(replica: v1.QuorumReplica, id: number, directoryId: string): boolean {
  return replica.id === id && (directoryId === '' || replica.directoryId === directoryId);
}

function notFound(id: number): BarnabasError {
  return new BarnabasError('VOTER_NOT_FOUND', `there is no such controller ${id}`);
}
