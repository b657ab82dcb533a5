/**
 * grpc.health.v1: Check, Watch and List. Written here and not taken from grpc-health-check because
 * that loads its schema from a file when it is imported (measured: 70 to 170 ms and 5.5 MB at start).
 * Unlike there, the status NOT_FOUND of an unknown service carries an error code like every other.
 */
import { BarnabasError } from '@barnabas/protocol';
import { Reader, Writer } from 'protobufjs/minimal.js';
import { service } from './role.js';
import type { ServiceRegistration } from './role.js';
import type { MessageType, ResponseStream } from './types.js';

const SERVING = 1;
const NOT_SERVING = 2;
const SERVICE_UNKNOWN = 3;
type ServingStatus = typeof SERVING | typeof NOT_SERVING | typeof SERVICE_UNKNOWN;

/** HealthCheckRequest { string service = 1 } */
const CheckRequest: MessageType<{ service: string }> = {
  encode: (message) => Writer.create().uint32(10).string(message.service),
  decode(input) {
    const reader = Reader.create(input);
    const message = { service: '' };
    while (reader.pos < reader.len) {
      const tag = reader.uint32();
      if (tag === 10) message.service = reader.string();
      else reader.skipType(tag & 7);
    }
    return message;
  },
};

/** HealthCheckResponse { ServingStatus status = 1 } */
const CheckResponse: MessageType<{ status: ServingStatus }> = {
  encode: (message) => Writer.create().uint32(8).int32(message.status),
  decode(input) {
    const reader = Reader.create(input);
    let status = 0;
    while (reader.pos < reader.len) {
      const tag = reader.uint32();
      if (tag === 8) status = reader.int32();
      else reader.skipType(tag & 7);
    }
    return { status: status as ServingStatus };
  },
};

/** HealthListRequest {} */
const ListRequest: MessageType<Record<string, never>> = { encode: () => Writer.create(), decode: () => ({}) };

/** HealthListResponse { map<string, HealthCheckResponse> statuses = 1 } */
const ListResponse: MessageType<{ statuses: ReadonlyMap<string, ServingStatus> }> = {
  encode(message) {
    const writer = Writer.create();
    for (const [name, status] of message.statuses) {
      writer.uint32(10).fork().uint32(10).string(name);
      writer.uint32(18).fork().uint32(8).int32(status).ldelim().ldelim();
    }
    return writer;
  },
  decode() {
    throw new BarnabasError('UNSUPPORTED_VERSION', 'lists of health are sent, never read');
  },
};

export const HealthDefinition = {
  name: 'Health',
  fullName: 'grpc.health.v1.Health',
  methods: {
    check: {
      name: 'Check',
      requestType: CheckRequest,
      requestStream: false,
      responseType: CheckResponse,
      responseStream: false,
    },
    watch: {
      name: 'Watch',
      requestType: CheckRequest,
      requestStream: false,
      responseType: CheckResponse,
      responseStream: true,
    },
    list: {
      name: 'List',
      requestType: ListRequest,
      requestStream: false,
      responseType: ListResponse,
      responseStream: false,
    },
  },
} as const;

type WatchStream = ResponseStream<{ status: ServingStatus }>;

/** The health of a node, '' by name, and of each of its services. */
export class Health {
  readonly service: ServiceRegistration;
  readonly #statuses: Map<string, ServingStatus>;
  readonly #watchers = new Map<WatchStream, string>();

  constructor(services: readonly string[]) {
    this.#statuses = new Map(['', ...services].map((name) => [name, NOT_SERVING]));
    this.service = service(HealthDefinition, {
      check: async (request) => ({ status: this.#check(request.service) }),
      watch: (request, stream) => this.#watch(request.service, stream),
      list: async () => ({ statuses: this.#statuses }),
    });
  }

  set(name: string, serving: boolean): void {
    const status = serving ? SERVING : NOT_SERVING;
    if (this.#statuses.get(name) === status) return;
    this.#statuses.set(name, status);
    for (const [stream, watched] of this.#watchers) {
      if (watched === name) stream.write({ status });
    }
  }

  /** The node goes: everything is NOT_SERVING, and watches end so that they do not hold up the stop. */
  stop(): void {
    for (const name of this.#statuses.keys()) this.set(name, false);
    for (const stream of this.#watchers.keys()) stream.end();
  }

  #check(name: string): ServingStatus {
    const status = this.#statuses.get(name);
    if (status !== undefined) return status;
    throw new BarnabasError('RESOURCE_NOT_FOUND', `no service of the name ${name} is served here`, { service: name });
  }

  #watch(name: string, stream: WatchStream): void {
    this.#watchers.set(stream, name);
    stream.handle({ onMessage() {}, onClose: () => this.#watchers.delete(stream) });
    stream.write({ status: this.#statuses.get(name) ?? SERVICE_UNKNOWN });
  }
}
