/** barnabas.v1.LogService of a broker: one handler file for each call, put together here. */
import type { InvariantError } from '@barnabas/common';
import type { Clock } from '@barnabas/common';
import { BarnabasError, v1 } from '@barnabas/protocol';
import { LOCAL_PEER, service } from '@barnabas/rpc';
import type { ByteBudget, Handlers, ServiceRegistration } from '@barnabas/rpc';
import { consume } from './fetch/consume.js';
import type { FetchDependencies } from './fetch/fetch-session.js';
import { fetch } from './fetch/fetch.js';
import { deleteRecords } from './handlers/delete-records.js';
import { initProducerId } from './handlers/init-producer-id.js';
import type { ProducerIds } from './handlers/init-producer-id.js';
import { listOffsets } from './handlers/list-offsets.js';
import type { OpenStreams } from './open-streams.js';
import { ProduceStreamSession } from './produce/produce-stream.js';
import type { ProduceService } from './produce/produce-service.js';
import { produce } from './produce/produce.js';
import type { TimedRequest } from './runtime/metrics.js';

/** Everything the calls need; there is none before the broker has opened its logs, nor once it stops. */
export interface Serving {
  readonly produceService: ProduceService;
  readonly budget: ByteBudget;
  readonly fetching: FetchDependencies;
  readonly producerIds: ProducerIds;
}

export function logService(
  serving: () => Serving | undefined,
  streams: OpenStreams,
  clock: Clock,
  onFault: (fault: InvariantError) => void,
): ServiceRegistration {
  const now = (): Serving => {
    const current = serving();
    if (current !== undefined) return current;
    throw new BarnabasError(
      'BROKER_NOT_AVAILABLE',
      'the broker is starting or stopping: wait and retry, or ask another',
    );
  };
  const timed = async <T>(request: TimedRequest, run: (current: Serving) => Promise<T>): Promise<T> => {
    const current = now();
    const startedAt = clock.monotonic();
    try {
      return await run(current);
    } finally {
      current.fetching.metrics.requestTook(request, clock.monotonic() - startedAt);
    }
  };
  const handlers: Handlers<typeof v1.LogServiceDefinition> = {
    produce: async (request, { peer }) => {
      const { produceService, budget } = now();
      return produce(request, peer !== LOCAL_PEER, produceService, budget);
    },
    produceStream(stream, { peer }) {
      const { produceService, budget } = now();
      const isOurs = peer !== LOCAL_PEER;
      streams.addProducer((onClose) => new ProduceStreamSession(stream, produceService, isOurs, budget, onClose));
    },
    fetch(stream) {
      const { fetching } = now();
      streams.addReader((onClose) => fetch(stream, fetching, onClose));
    },
    consume(request, stream) {
      const { fetching } = now();
      streams.addReader((onClose) => consume(request, stream, fetching, onClose));
    },
    listOffsets: (request) => timed('ListOffsets', ({ fetching }) => listOffsets(request, fetching)),
    initProducerId: () => timed('InitProducerId', ({ producerIds }) => initProducerId(producerIds)),
    deleteRecords: (request) => timed('DeleteRecords', ({ fetching }) => deleteRecords(request, fetching)),
  };
  return service(v1.LogServiceDefinition, handlers, onFault);
}
