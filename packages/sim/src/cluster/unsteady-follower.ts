/**
 * The sequence in which most races of replication lie: a follower loses its leader until it falls
 * out of the ISR, comes back while the controllers are slow to answer, perhaps loses it again, and
 * then the leader is lost.
 */
import { NO_LEADER } from '@barnabas/metadata';
import type { Cluster } from './cluster.js';
import type { BrokerNode } from './nodes/broker-node.js';
import type { Outages } from './outages.js';

export function unsteadyFollower(cluster: Cluster, outages: Outages): void {
  const { dice, controllers, plan } = cluster;
  const pair = somePair(cluster);
  if (pair === undefined) return;
  const [leader, follower] = pair;
  const lagMs = plan.brokerConfig['replica.lag.time.max.ms'];
  const awayMs = dice.between(lagMs, 3 * lagMs);
  outages.separate([leader], [follower], awayMs);
  if (dice.chance(0.4)) outages.slow(leader, controllers, dice.between(50, 1500), awayMs + 2000);
  else if (dice.chance(0.7))
    cluster.troubleAfter(awayMs, 'an admission will be late', () => holdUpAdmission(cluster, leader));
  const later = awayMs + dice.between(5, 500);
  if (dice.chance(0.6)) {
    cluster.troubleAfter(later, 'the follower goes again', () => {
      outages.separate([leader], [follower], dice.between(100, 3000));
    });
  }
  if (dice.chance(0.4)) return;
  cluster.troubleAfter(later + dice.between(0, 800), 'the leader goes', () => lose(cluster, outages, leader));
}

/** The follower is back: what its leader asks for next arrives when it may not be true any more. */
function holdUpAdmission({ dice, network, controllers }: Cluster, leader: BrokerNode): void {
  const extraMs = dice.between(200, 5000);
  for (const { name } of controllers) network.links.holdUp(leader.name, name, 'AlterPartition', extraMs);
}

function lose({ dice, nodes, trace }: Cluster, outages: Outages, leader: BrokerNode): void {
  if (leader.isDown) return;
  trace.note(`  ${leader.name} goes`);
  const how = dice.below(4);
  if (how === 0) leader.losePower(dice.chance(0.5));
  else if (how === 1) outages.separate([leader], nodes, dice.between(500, 5000));
  else if (how === 2) leader.freeze(dice.between(500, 5000));
  else leader.kill();
}

/** The leader and a follower of some partition. */
function somePair({ dice, brokers, image }: Cluster): readonly [BrokerNode, BrokerNode] | undefined {
  const pairs = [...(image?.topics.values() ?? [])].flatMap(({ partitions }) =>
    partitions.flatMap(({ leader, replicas }) => {
      const followers = leader === NO_LEADER ? [] : replicas.filter((id) => id !== leader);
      return followers.map((follower) => [leader, follower] as const);
    }),
  );
  if (pairs.length === 0) return undefined;
  const [leader, follower] = dice.pick(pairs);
  const [one, other] = [brokers[leader - 1], brokers[follower - 1]];
  return one === undefined || other === undefined ? undefined : [one, other];
}
