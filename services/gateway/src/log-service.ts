/**
 * barnabas.v1.LogService as a gateway serves it: keeps what its streams share, and knows which are open
 * so that a stop can end them in good order.
 */
import { v1 } from '@barnabas/protocol';
import type { BarnabasError } from '@barnabas/protocol';
import { service } from '@barnabas/rpc';
import type { ByteBudget, FaultListener, Handlers, ServiceRegistration } from '@barnabas/rpc';
import { GatewayConsume } from './fetch/consume.js';
import { GatewayFetch } from './fetch/gateway-fetch.js';
import type { FetchParts } from './fetch/gateway-fetch.js';
import { initProducerId } from './handlers/init-producer-id.js';
import { deleteRecords, listOffsets } from './handlers/leader-requests.js';
import type { GatewayMetrics } from './metrics.js';
import { ProduceSession } from './produce/produce-service.js';
import type { ProduceParts } from './produce/produce-service.js';
import { ProduceStreamSession } from './produce/produce-stream.js';
import { checkRequest } from './produce/request-check.js';
import type { RequestLimits } from './produce/request-check.js';

export interface LogServiceParts {
  readonly produce: ProduceParts;
  readonly fetch: FetchParts;
  readonly limits: RequestLimits;
  readonly budget: ByteBudget;
  readonly metrics: GatewayMetrics;
  readonly onFault: FaultListener;
}

/** A fetch or consume stream. */
interface Reader {
  readonly queuedBytes: number;
  stop(error: BarnabasError): void;
}

export class GatewayLogService {
  readonly registration: ServiceRegistration;
  readonly #parts: LogServiceParts;
  readonly #producers = new Set<ProduceStreamSession>();
  readonly #readers = new Set<Reader>();
  /** What new calls are refused with, once the gateway stops. */
  #refusal: BarnabasError | undefined;

  constructor(parts: LogServiceParts) {
    this.#parts = parts;
    this.registration = service(v1.LogServiceDefinition, this.#handlers(), parts.onFault);
    parts.metrics.sample({
      queuedBytes: () => parts.budget.usedBytes,
      fetchBufferedBytes: () => [...this.#readers].reduce((sum, reader) => sum + reader.queuedBytes, 0),
      produceStreams: () => this.#producers.size,
      readers: () => this.#readers.size,
    });
  }

  /** No more is read of produce streams; what they brought is still answered. Readers go elsewhere. */
  stop(error: BarnabasError): void {
    this.#refusal = error;
    for (const producer of [...this.#producers]) producer.stop();
    for (const reader of [...this.#readers]) reader.stop(error);
  }

  #handlers(): Handlers<typeof v1.LogServiceDefinition> {
    const { produce, fetch, limits, budget } = this.#parts;
    return {
      produce: (request) => this.#produce(request),
      produceStream: (stream) => {
        this.#admit();
        const session: ProduceStreamSession = new ProduceStreamSession(stream, produce, limits, budget, () =>
          this.#producers.delete(session),
        );
        this.#producers.add(session);
      },
      fetch: (stream) => {
        this.#admit();
        const reader: Reader = new GatewayFetch(stream, fetch, () => this.#readers.delete(reader));
        this.#readers.add(reader);
      },
      consume: (request, stream, context) => {
        this.#admit();
        const reader: Reader = new GatewayConsume(request, stream, context, fetch, () => this.#readers.delete(reader));
        this.#readers.add(reader);
      },
      listOffsets: (request, context) => listOffsets(fetch, request, context),
      deleteRecords: (request, context) => deleteRecords(fetch, request, context),
      initProducerId: (request, context) => initProducerId(fetch.router, request, context),
    };
  }

  #admit(): void {
    if (this.#refusal !== undefined) throw this.#refusal;
  }

  async #produce(request: v1.ProduceRequest): Promise<v1.ProduceResponse> {
    const { produce, limits, budget } = this.#parts;
    this.#admit();
    const bytes = checkRequest(request, limits);
    budget.admitNow();
    budget.take(bytes);
    try {
      return await new ProduceSession(produce).append(request);
    } finally {
      budget.give(bytes);
    }
  }
}
