/** Brokers, replicas and controllers between the application's words and the wire's. */
import { BarnabasError, errorFromProto, v1 } from '@barnabas/protocol';
import { addressOf, fromWireBroker } from '../cluster/wire-broker.js';
import type {
  BrokerDescription,
  Decommission,
  ElectedLeader,
  ElectionType,
  NewVoter,
  PartitionReplicas,
  QuorumDescription,
  QuorumReplica,
  TopicSelection,
} from './cluster-types.js';

export const ELECTION_TYPES: Readonly<Record<ElectionType, v1.ElectionType>> = {
  preferred: v1.ElectionType.PREFERRED,
  unclean: v1.ElectionType.UNCLEAN,
};

export function describeBroker(broker: v1.Broker): BrokerDescription {
  const { inControlledShutdown, decommissioning } = broker;
  return { ...fromWireBroker(broker), inControlledShutdown, decommissioning };
}

export function toWireSelection(topics: readonly TopicSelection[]): v1.TopicPartitions[] {
  return topics.map(({ topic, partitions = [] }) => ({ topic, partitions: [...partitions] }));
}

/** That no election was needed is no failure. */
export function fromWireElection(result: v1.ElectLeadersResult): ElectedLeader | BarnabasError {
  const { topic, partition, leader } = result;
  if (result.error === undefined) return { topic, partition, leader, elected: true };
  const error = errorFromProto(result.error);
  return error.errorName === 'ELECTION_NOT_NEEDED' ? { topic, partition, leader, elected: false } : error;
}

export function fromWireReplicas({ error, ...result }: v1.DescribeReplicasResult): PartitionReplicas {
  return { ...result, error: error === undefined ? undefined : errorFromProto(error) };
}

export function fromWireDecommission(answer: v1.DecommissionBrokerResponse): Decommission {
  const { remainingPartitions, stuck } = answer;
  return {
    remainingPartitions,
    stuck: stuck.map(({ topic, partition, error }) => ({
      topic,
      partition,
      error: error === undefined ? new BarnabasError('UNKNOWN_SERVER_ERROR', 'no reason given') : errorFromProto(error),
    })),
  };
}

export function fromWireQuorum(answer: v1.DescribeQuorumResponse): QuorumDescription {
  return {
    ...answer,
    voters: answer.voters.map(fromWireQuorumReplica),
    observers: answer.observers.map(fromWireQuorumReplica),
  };
}

function fromWireQuorumReplica({ host, port, ...replica }: v1.QuorumReplica): QuorumReplica {
  return { ...replica, address: host === '' ? '' : addressOf({ host, port }) };
}

export function toWireVoter({ id, directoryId = '', address }: NewVoter, timeoutMs: number): v1.AddVoterRequest {
  const place = address === undefined ? { host: '', port: 0 } : parsed(address);
  return { id, directoryId, ...place, timeoutMs };
}

function parsed(address: string): { readonly host: string; readonly port: number } {
  const at = address.lastIndexOf(':');
  const host = address.slice(0, Math.max(0, at)).replace(/^\[(.*)\]$/, '$1');
  const port = Number(address.slice(at + 1));
  if (at < 1 || !Number.isInteger(port) || port < 1 || port > 65_535) {
    throw new BarnabasError('INVALID_REQUEST', `${JSON.stringify(address)} is no address: give host:port`);
  }
  return { host, port };
}
