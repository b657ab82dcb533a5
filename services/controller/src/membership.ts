/**
 * What a controller is to the quorum when it starts: one of the first voters of a new cluster, one that
 * joins without a vote, or what its disk says that it is. Decides nothing about a disk that has been
 * formatted: who votes is in its log.
 */
import { formatAddress } from '@barnabas/common/config';
import { randomUuid } from '@barnabas/metadata';
import type { Random } from '@barnabas/common';
import { BarnabasError } from '@barnabas/protocol';
import { randomDirectoryId } from '@barnabas/raft';
import type { Identity, RaftOptions, Voter } from '@barnabas/raft';
import type { BoundAddress } from '@barnabas/rpc';
import type { ControllerConfig } from './config.js';

export interface MembershipFacts {
  /** What the disk says; undefined if it is new. */
  readonly identity: Pick<Identity, 'clusterId'> | undefined;
  readonly bound: BoundAddress;
  readonly random: Random;
}

type Membership = Pick<RaftOptions, 'clusterId' | 'endpoint'> &
  Required<Pick<RaftOptions, 'initialVoters' | 'bootstrapServers'>>;

/** Throws INVALID_CONFIG for a new disk of a controller that is to join a cluster whose id it is not told. */
export function membershipOf(config: ControllerConfig, { identity, bound, random }: MembershipFacts): Membership {
  const voters = votersOf(config);
  const servers = config['controller.quorum.bootstrap.servers']?.map(formatAddress);
  const endpoint = endpointOf(config, voters, bound);
  const self = { id: config['node.id'], endpoint };
  const founders = voters ?? (servers === undefined ? [self] : []);
  const isFounder = founders.some(({ id }) => id === self.id);
  const clusterId = config['cluster.id'] ?? identity?.clusterId ?? (isFounder ? randomUuid(random) : undefined);
  if (clusterId === undefined) {
    throw new BarnabasError(
      'INVALID_CONFIG',
      `controller ${self.id} joins a cluster and its disk is new: run "barnabas storage format" first, with the id of that cluster, or set cluster.id`,
    );
  }
  return {
    clusterId,
    endpoint,
    initialVoters: isFounder ? named(founders, random) : [],
    bootstrapServers: servers ?? founders.map((voter) => voter.endpoint),
  };
}

function votersOf(config: ControllerConfig): readonly Voter[] | undefined {
  return config['controller.quorum.voters']?.map((voter) => ({ id: voter.id, endpoint: formatAddress(voter) }));
}

/** Where the others reach it. */
function endpointOf(config: ControllerConfig, voters: readonly Voter[] | undefined, bound: BoundAddress): string {
  const advertised = config['controller.advertised.listeners']?.[0];
  if (advertised !== undefined) return formatAddress(advertised);
  const own = voters?.find(({ id }) => id === config['node.id']);
  if (own !== undefined) return own.endpoint;
  if (bound.host === '' || bound.host === '0.0.0.0' || bound.host === '::') {
    throw new BarnabasError(
      'INVALID_CONFIG',
      'this controller listens on every interface, which is no address for others to reach it at: set controller.advertised.listeners',
    );
  }
  return formatAddress(bound);
}

/**
 * A founder that is alone tells nobody its directory id, so that its disk may have one of its own: once
 * lost and formatted again it is another voter, and cannot be taken for one that remembers its promises.
 */
function named(founders: readonly Voter[], random: Random): readonly Voter[] {
  return founders.length === 1
    ? founders.map((voter) => ({ ...voter, directoryId: randomDirectoryId(random) }))
    : founders;
}
