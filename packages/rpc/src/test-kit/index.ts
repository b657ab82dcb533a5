/**
 * For this package's own tests: one service with a method of each kind, both transports behind one
 * face, and streams whose events can be awaited. Not exported from the package.
 */
import { deferred } from '@barnabas/common';
import type { Logger } from '@barnabas/common';
import { v1 } from '@barnabas/protocol';
import type { BarnabasError } from '@barnabas/protocol';
import { createConnector } from '../connector.js';
import type { ConnectorOptions } from '../connector.js';
import { serve } from '../grpc/server.js';
import type { ServerLimits } from '../limits.js';
import { LocalNetwork } from '../local/local-network.js';
import { service } from '../role.js';
import type { Connector, FaultListener, Handlers, MessageStream, ServerInterceptor, ServiceClient } from '../types.js';

export const TestDefinition = {
  name: 'TestService',
  fullName: 'barnabas.test.TestService',
  methods: {
    ask: { name: 'Ask', requestType: v1.Record, requestStream: false, responseType: v1.Record, responseStream: false },
    list: { name: 'List', requestType: v1.Record, requestStream: false, responseType: v1.Record, responseStream: true },
    chat: { name: 'Chat', requestType: v1.Record, requestStream: true, responseType: v1.Record, responseStream: true },
  },
} as const;

export type TestHandlers = Handlers<typeof TestDefinition>;
export type TestClient = ServiceClient<typeof TestDefinition>;

export const record = (value: string | Buffer): v1.Record => v1.Record.create({ value: Buffer.from(value) });
export const text = (message: v1.Record): string => Buffer.from(message.value ?? []).toString();

const refuse = () => {
  throw new Error('this test does not expect the call');
};

export interface Side {
  readonly handlers: Partial<TestHandlers>;
  readonly interceptors?: readonly ServerInterceptor[];
  readonly limits?: Partial<ServerLimits>;
  readonly logger?: Logger;
  readonly onFault?: FaultListener;
}

export interface Pair {
  readonly client: TestClient;
  readonly connector: Connector;
  readonly address: string;
  /** What a crash of the server's process looks like. */
  kill(): Promise<void>;
  close(): Promise<void>;
}

export type Connect = (side: Side, connectorOptions?: ConnectorOptions) => Promise<Pair>;

const registration = (side: Side) =>
  service(TestDefinition, { ask: refuse, list: refuse, chat: refuse, ...side.handlers }, side.onFault);

export const overGrpc: Connect = async (side, connectorOptions) => {
  const server = await serve({
    listen: { host: '127.0.0.1', port: 0 },
    services: [registration(side)],
    interceptors: side.interceptors,
    limits: side.limits,
    logger: side.logger,
  });
  const address = `127.0.0.1:${server.port}`;
  const connector = createConnector(connectorOptions);
  return {
    client: connector.channel(address).client(TestDefinition),
    connector,
    address,
    kill: () => server.stop(0),
    close: async () => {
      connector.close();
      await server.stop(0);
    },
  };
};

export const overLocal: Connect = async (side, connectorOptions) => {
  const local = new LocalNetwork();
  const address = 'role.invalid:1';
  local.register(address, [registration(side)], side);
  const connector = createConnector({ ...connectorOptions, local });
  return {
    client: connector.channel(address).client(TestDefinition),
    connector,
    address,
    kill: async () => local.unregister(address),
    close: async () => {
      connector.close();
      local.unregister(address);
    },
  };
};

/** Collects what one end of a stream is told. */
export class Ear<In, Out> {
  readonly messages: In[] = [];
  readonly events: string[] = [];
  readonly #closed = deferred<BarnabasError | undefined>();
  readonly #waiting: { ready: () => boolean; resolve: () => void }[] = [];
  drains = 0;
  ended = false;

  constructor(
    readonly stream: MessageStream<In, Out>,
    onMessage: (message: In) => void = () => {},
  ) {
    stream.handle({
      onMessage: (message) => {
        this.messages.push(message);
        this.#note('message');
        onMessage(message);
      },
      onEnd: () => {
        this.ended = true;
        this.#note('end');
      },
      onDrain: () => {
        this.drains += 1;
        this.#note('drain');
      },
      onClose: (error) => {
        this.#note('close');
        this.#closed.resolve(error);
      },
    });
  }

  /** Resolves with what onClose was told. */
  get closed(): Promise<BarnabasError | undefined> {
    return this.#closed.promise;
  }

  until(ready: () => boolean): Promise<void> {
    return ready() ? Promise.resolve() : new Promise((resolve) => this.#waiting.push({ ready, resolve }));
  }

  #note(event: string): void {
    this.events.push(event);
    for (const waiter of this.#waiting) if (waiter.ready()) waiter.resolve();
  }
}

/** Resolves when the event loop has gone round a few times: what was on its way in this process has arrived. */
export async function settled(): Promise<void> {
  for (let turn = 0; turn < 20; turn += 1) await new Promise((resolve) => setImmediate(resolve));
}
