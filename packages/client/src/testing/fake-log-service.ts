/** LogService of a fake node. `Consume` is not served: it is a gateway's own work, tested there. */
import { BarnabasError, errorToProto, toBarnabasError, v1 } from '@barnabas/protocol';
import { service } from '@barnabas/rpc';
import type { ServiceRegistration } from '@barnabas/rpc';
import { fetchHandler } from './fake-fetch.js';
import type { FakeFetchPorts } from './fake-fetch.js';
import type { FakeNode } from './fake-node.js';
import type { FakePartition } from './fake-partition.js';
import { produceHandler, produceStreamHandler } from './fake-produce.js';
import type { FindPartition } from './fake-produce.js';

export interface FakeLogPorts extends FakeFetchPorts {
  readonly nextProducerId: () => number;
}

export function fakeLogService(node: FakeNode, ports: FakeLogPorts): ServiceRegistration {
  const { find, nextProducerId } = ports;
  return service(v1.LogServiceDefinition, {
    produce: produceHandler(node, find),
    produceStream: produceStreamHandler(node, find),
    fetch: fetchHandler(node, ports),
    consume: (_request, stream) => {
      stream.handle({ onMessage: () => undefined, onClose: () => undefined });
      stream.end(new BarnabasError('UNSUPPORTED_VERSION', 'a fake cluster does not serve Consume'));
    },
    listOffsets: (request) => node.unary('ListOffsets', request, () => listOffsets(node, find, request)),
    initProducerId: (request) =>
      node.unary('InitProducerId', request, () => ({ producerId: nextProducerId(), producerEpoch: 0 })),
    deleteRecords: (request) => node.unary('DeleteRecords', request, () => deleteRecords(node, find, request)),
  });
}

function listOffsets(node: FakeNode, find: FindPartition, request: v1.ListOffsetsRequest): v1.ListOffsetsResponse {
  return {
    results: request.entries.map((entry) => {
      const { topic, partition } = entry;
      try {
        const found = find(node, topic, partition);
        checkEpoch(found, entry);
        const { offset, timestampMs } = findOffset(found, entry);
        return { topic, partition, offset, timestampMs, leaderEpoch: -1, error: undefined };
      } catch (error) {
        const nothing = { offset: -1, timestampMs: -1, leaderEpoch: -1 };
        return { topic, partition, ...nothing, error: errorToProto(toBarnabasError(error)) };
      }
    }),
  };
}

function checkEpoch({ leaderEpoch }: FakePartition, { currentLeaderEpoch = -1 }: v1.ListOffsetsEntry): void {
  if (currentLeaderEpoch <= leaderEpoch) return;
  throw new BarnabasError('UNKNOWN_LEADER_EPOCH', `epoch ${currentLeaderEpoch} is not known here`);
}

function findOffset(partition: FakePartition, { spec }: v1.ListOffsetsEntry): { offset: number; timestampMs: number } {
  switch (spec?.$case) {
    case 'earliest':
      return { offset: partition.logStartOffset, timestampMs: -1 };
    case 'latest':
      return { offset: partition.logEndOffset, timestampMs: -1 };
    case 'timestampMs': {
      const found = partition.offsetForTimestamp(spec.timestampMs);
      return { offset: found?.offset ?? -1, timestampMs: found?.timestamp ?? -1 };
    }
    case 'maxTimestamp': {
      const records = [...partition.records()].sort((left, right) => right.timestamp - left.timestamp);
      return { offset: records[0]?.offset ?? -1, timestampMs: records[0]?.timestamp ?? -1 };
    }
    case 'atOffset': {
      const found = partition.records().find(({ offset }) => offset >= spec.atOffset);
      return { offset: found?.offset ?? -1, timestampMs: found?.timestamp ?? -1 };
    }
    case undefined:
      throw new BarnabasError('INVALID_REQUEST', 'which offset?');
  }
}

function deleteRecords(
  node: FakeNode,
  find: FindPartition,
  request: v1.DeleteRecordsRequest,
): v1.DeleteRecordsResponse {
  return {
    results: request.entries.map(({ topic, partition: index, beforeOffset }) => {
      try {
        const partition = find(node, topic, index);
        if (beforeOffset > partition.logEndOffset) throw new BarnabasError('OFFSET_OUT_OF_RANGE', 'above the end');
        partition.deleteRecordsBefore(beforeOffset === -1 ? partition.logEndOffset : beforeOffset);
        return { topic, partition: index, logStartOffset: partition.logStartOffset, error: undefined };
      } catch (error) {
        return { topic, partition: index, logStartOffset: -1, error: errorToProto(toBarnabasError(error)) };
      }
    }),
  };
}
