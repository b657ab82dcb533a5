/** What both transports promise, checked on both with the same tests. */
import { deferred, InvariantError, silentLogger } from '@barnabas/common';
import type { LogFacts } from '@barnabas/common';
import { BarnabasError } from '@barnabas/protocol';
import type { v1 } from '@barnabas/protocol';
import { Ear, overGrpc, overLocal, record, settled, text } from './test-kit/index.js';
import type { Connect, Pair, Side } from './test-kit/index.js';
import type { ConnectorOptions } from './connector.js';
import type { CallContext, MessageStream } from './types.js';

type RecordStream = MessageStream<v1.Record, v1.Record>;

async function failure(promise: Promise<unknown>): Promise<BarnabasError> {
  const error: unknown = await promise.then(
    () => undefined,
    (rejection: unknown) => rejection,
  );
  expect(error).toBeInstanceOf(BarnabasError);
  return error as BarnabasError;
}

describe.each<[string, Connect]>([
  ['over gRPC', overGrpc],
  ['within a process', overLocal],
])('calls %s', (_name, connectOver) => {
  let pair: Pair | undefined;
  const connect = async (side: Side, options?: ConnectorOptions): Promise<Pair> => {
    pair = await connectOver(side, options);
    return pair;
  };

  afterEach(async () => {
    await pair?.close();
    pair = undefined;
  });

  describe('unary', () => {
    test('carries request, answer and context', async () => {
      const contexts: CallContext[] = [];
      const { client } = await connect(
        {
          handlers: {
            ask: async (request, context) => {
              contexts.push(context);
              return record(`${text(request)}!`);
            },
          },
        },
        { clientId: 'me', interceptors: [{ headers: (method) => ({ 'x-trace': `of ${method}` }) }] },
      );
      const answer = await client.ask(record('hello'), { headers: { 'x-more': '1' }, timeoutMs: 5_000 });
      expect(text(answer)).toBe('hello!');
      const [context] = contexts;
      expect(context?.method).toBe('barnabas.test.TestService/Ask');
      expect(context?.clientId).toBe('me');
      expect(context?.headers.get('x-trace')).toBe('of barnabas.test.TestService/Ask');
      expect(context?.headers.get('x-more')).toBe('1');
      expect(context?.timeoutMs).toBeGreaterThan(0);
      expect(context?.timeoutMs).toBeLessThanOrEqual(5_000);
      expect(context?.peer).not.toBe('');
      expect(context?.signal.aborted).toBe(false);
    });

    test('fails with the error that the handler threw, text and all', async () => {
      const { client } = await connect({
        handlers: {
          ask: async () => {
            throw new BarnabasError('NOT_CONTROLLER', 'ask node 3 – “there” 100%');
          },
        },
      });
      const error = await failure(client.ask(record('')));
      expect(error.errorName).toBe('NOT_CONTROLLER');
      expect(error.message).toBe('ask node 3 – “there” 100%');
      expect(error.retriable).toBe(true);
    });

    test('turns an exception without a name into UNKNOWN_SERVER_ERROR and logs it with an action', async () => {
      const lines: LogFacts[] = [];
      const { client } = await connect({
        handlers: {
          ask: async () => {
            throw new TypeError('x is not a function');
          },
        },
        logger: { ...silentLogger, error: (_message, facts) => lines.push(facts) },
      });
      expect((await failure(client.ask(record('')))).errorName).toBe('UNKNOWN_SERVER_ERROR');
      expect(lines).toHaveLength(1);
      expect(lines[0]).toMatchObject({ method: 'barnabas.test.TestService/Ask', action: expect.any(String) });
    });

    test('reports a broken invariant as a fault and says nothing of it to the caller', async () => {
      const faults: [string, string][] = [];
      const { client } = await connect({
        handlers: {
          ask: async () => {
            throw new InvariantError('secret inner state');
          },
        },
        onFault: (fault, method) => faults.push([fault.message, method]),
      });
      const error = await failure(client.ask(record('')));
      expect(error.errorName).toBe('UNKNOWN_SERVER_ERROR');
      expect(error.message).not.toContain('secret');
      expect(faults).toEqual([['secret inner state', 'barnabas.test.TestService/Ask']]);
    });

    test('ends with REQUEST_TIMED_OUT at its deadline, and tells the handler', async () => {
      const aborted = deferred<BarnabasError>();
      const { client } = await connect({
        handlers: {
          ask: (_request, context) =>
            new Promise(() => {
              context.signal.addEventListener('abort', () => aborted.resolve(context.signal.reason as BarnabasError));
            }),
        },
      });
      const error = await failure(client.ask(record(''), { timeoutMs: 60 }));
      expect(error.errorName).toBe('REQUEST_TIMED_OUT');
      await aborted.promise;
    });

    test('ends when its caller aborts it, and tells the handler', async () => {
      const started = deferred<void>();
      const aborted = deferred<void>();
      const { client } = await connect({
        handlers: {
          ask: (_request, context) =>
            new Promise(() => {
              context.signal.addEventListener('abort', () => aborted.resolve());
              started.resolve();
            }),
        },
      });
      const controller = new AbortController();
      const call = failure(client.ask(record(''), { signal: controller.signal }));
      await started.promise;
      controller.abort();
      const error = await call;
      expect(error.errorName).toBe('NETWORK_EXCEPTION');
      expect(error.facts?.cancelled).toBe(true);
      await aborted.promise;
    });

    test('does not begin when its signal is aborted already', async () => {
      const { client } = await connect({ handlers: {} });
      const error = await failure(client.ask(record(''), { signal: AbortSignal.abort() }));
      expect(error.facts?.cancelled).toBe(true);
    });

    test('ends with NETWORK_EXCEPTION when the server goes', async () => {
      const started = deferred<void>();
      const { client, kill } = await connect({
        handlers: {
          ask: () => {
            started.resolve();
            return new Promise(() => {});
          },
        },
      });
      const call = failure(client.ask(record('')));
      await started.promise;
      await kill();
      expect((await call).errorName).toBe('NETWORK_EXCEPTION');
    });

    test('refuses messages above the limit, sent and received, with MESSAGE_TOO_LARGE', async () => {
      const { client } = await connect(
        {
          handlers: { ask: async (request) => (request.key ? record(Buffer.alloc(5_000)) : request) },
          limits: { maxMessageBytes: 4_000 },
        },
        {},
      );
      const small = await client.ask(record(Buffer.alloc(3_000)));
      expect(small.value).toHaveLength(3_000);
      expect((await failure(client.ask(record(Buffer.alloc(5_000))))).errorName).toBe('MESSAGE_TOO_LARGE');
      const wantsMuch = { ...record(''), key: Buffer.from('k') };
      expect((await failure(client.ask(wantsMuch))).errorName).toBe('MESSAGE_TOO_LARGE');
    });

    test('is refused by an interceptor, before the handler', async () => {
      const { client } = await connect({
        handlers: {},
        interceptors: [
          {
            admit: async () => {
              throw new BarnabasError('SASL_AUTHENTICATION_FAILED', 'who are you?');
            },
          },
        ],
      });
      expect((await failure(client.ask(record('')))).errorName).toBe('SASL_AUTHENTICATION_FAILED');
    });

    test('runs interceptors in order, each with the context of the one before', async () => {
      const peers: string[] = [];
      const add = (mark: string) => ({
        admit: async (context: CallContext) => ({ ...context, peer: `${context.peer}${mark}` }),
      });
      const { client } = await connect(
        {
          handlers: {
            ask: async (request, context) => {
              peers.push(context.peer, context.clientId);
              return request;
            },
          },
          interceptors: [add('1'), add('2')],
        },
        { clientId: 'c' },
      );
      await client.ask(record(''));
      expect(peers[0]).toMatch(/12$/);
      expect(peers[1]).toBe('c');
    });

    test('names what is not served', async () => {
      const { connector, address } = await connect({ handlers: {} });
      const definition = {
        name: 'Other',
        fullName: 'barnabas.test.Other',
        methods: { ask: (await import('./test-kit/index.js')).TestDefinition.methods.ask },
      } as const;
      const error = await failure(connector.channel(address).client(definition).ask(record('')));
      expect(error.errorName).toBe('UNSUPPORTED_VERSION');
    });

    test('fails on a closed channel', async () => {
      const { client, connector } = await connect({ handlers: {} });
      connector.close();
      expect((await failure(client.ask(record('')))).errorName).toBe('NETWORK_EXCEPTION');
      const ear = new Ear(client.chat());
      expect((await ear.closed)?.errorName).toBe('NETWORK_EXCEPTION');
    });
  });

  describe('server streams', () => {
    test('deliver everything in order and then close without an error', async () => {
      const { client } = await connect({
        handlers: {
          list: (request, stream) => {
            stream.handle({ onMessage() {}, onClose() {} });
            for (let i = 0; i < 100; i += 1) stream.write(record(`${text(request)}${i}`));
            stream.end();
          },
        },
      });
      const ear = new Ear(client.list(record('m')));
      expect(await ear.closed).toBeUndefined();
      expect(ear.messages.map(text)).toEqual(Array.from({ length: 100 }, (_, i) => `m${i}`));
      expect(ear.events.slice(-2)).toEqual(['end', 'close']);
    });

    test('close with the error that ended them', async () => {
      const { client } = await connect({
        handlers: {
          list: (_request, stream) => {
            stream.handle({ onMessage() {}, onClose() {} });
            stream.end(new BarnabasError('OFFSET_OUT_OF_RANGE', 'offset 5 is gone'));
          },
        },
      });
      const ear = new Ear(client.list(record('')));
      const error = await ear.closed;
      expect(error?.errorName).toBe('OFFSET_OUT_OF_RANGE');
      expect(error?.message).toBe('offset 5 is gone');
      expect(ear.events).toEqual(['close']);
    });

    test('close with what the handler threw', async () => {
      const { client } = await connect({
        handlers: {
          list: () => {
            throw new BarnabasError('INVALID_REQUEST', 'no');
          },
        },
      });
      expect((await new Ear(client.list(record(''))).closed)?.errorName).toBe('INVALID_REQUEST');
    });

    test('tell the server that the client has cancelled', async () => {
      const server = deferred<Ear<never, v1.Record>>();
      const { client } = await connect({
        handlers: {
          list: (_request, stream, context) => {
            server.resolve(new Ear(stream));
            context.signal.addEventListener('abort', () => signalled.resolve());
          },
        },
      });
      const signalled = deferred<void>();
      const ear = new Ear(client.list(record('')));
      const serverEar = await server.promise;
      ear.stream.cancel();
      expect((await ear.closed)?.facts?.cancelled).toBe(true);
      expect((await serverEar.closed)?.errorName).toBe('NETWORK_EXCEPTION');
      await signalled.promise;
    });
  });

  describe('bidirectional streams', () => {
    const chatting = async (
      onStream: (stream: RecordStream, context: CallContext) => void,
      side: Omit<Side, 'handlers'> = {},
      options?: ConnectorOptions,
    ) => connect({ ...side, handlers: { chat: onStream } }, options);

    test('answer each message, half-close, and close once in good order on both sides', async () => {
      const server = deferred<Ear<v1.Record, v1.Record>>();
      const { client } = await chatting((stream) => {
        const ear = new Ear(stream, (message) => stream.write(record(`re: ${text(message)}`)));
        void ear.until(() => ear.ended).then(() => stream.end());
        server.resolve(ear);
      });
      const ear = new Ear(client.chat());
      for (const word of ['a', 'b', 'c']) ear.stream.write(record(word));
      ear.stream.end();
      expect(await ear.closed).toBeUndefined();
      expect(ear.messages.map(text)).toEqual(['re: a', 're: b', 're: c']);
      const serverEar = await server.promise;
      expect(await serverEar.closed).toBeUndefined();
      expect(serverEar.events).toEqual(['message', 'message', 'message', 'end', 'close']);
      await settled();
      expect(ear.events.filter((event) => event === 'close')).toHaveLength(1);
    });

    test('let the server end first', async () => {
      const server = deferred<Ear<v1.Record, v1.Record>>();
      const { client } = await chatting((stream) => {
        server.resolve(new Ear(stream));
        stream.write(record('bye'));
        stream.end();
      });
      const ear = new Ear(client.chat());
      expect(await ear.closed).toBeUndefined();
      expect(ear.messages.map(text)).toEqual(['bye']);
      expect(await (await server.promise).closed).toBeUndefined();
      expect(ear.stream.write(record('too late'))).toBe(true);
    });

    test('break off on both sides when the server cancels', async () => {
      const server = deferred<Ear<v1.Record, v1.Record>>();
      const { client } = await chatting((stream) => server.resolve(new Ear(stream, () => stream.cancel())));
      const ear = new Ear(client.chat());
      ear.stream.write(record('x'));
      expect((await ear.closed)?.errorName).toBe('NETWORK_EXCEPTION');
      expect((await (await server.promise).closed)?.errorName).toBe('NETWORK_EXCEPTION');
    });

    test('break off when the caller aborts its signal', async () => {
      const server = deferred<Ear<v1.Record, v1.Record>>();
      const { client } = await chatting((stream) => server.resolve(new Ear(stream)));
      const controller = new AbortController();
      const ear = new Ear(client.chat({ signal: controller.signal }));
      const serverEar = await server.promise;
      controller.abort();
      expect((await ear.closed)?.facts?.cancelled).toBe(true);
      expect((await serverEar.closed)?.errorName).toBe('NETWORK_EXCEPTION');
    });

    test('end at their deadline on both sides', async () => {
      const server = deferred<Ear<v1.Record, v1.Record>>();
      const { client } = await chatting((stream) => server.resolve(new Ear(stream)));
      const ear = new Ear(client.chat({ timeoutMs: 60 }));
      expect((await ear.closed)?.errorName).toBe('REQUEST_TIMED_OUT');
      expect(await (await server.promise).closed).toBeInstanceOf(BarnabasError);
    });

    test('close with NETWORK_EXCEPTION on both sides when the server goes', async () => {
      const server = deferred<Ear<v1.Record, v1.Record>>();
      const { client, kill } = await chatting((stream) => server.resolve(new Ear(stream)));
      const ear = new Ear(client.chat());
      const serverEar = await server.promise;
      await kill();
      expect((await ear.closed)?.errorName).toBe('NETWORK_EXCEPTION');
      expect((await serverEar.closed)?.errorName).toBe('NETWORK_EXCEPTION');
    });

    test('turn an exception of the server’s listener into the call’s error, and deliver nothing after it', async () => {
      const faults: string[] = [];
      const server = deferred<Ear<v1.Record, v1.Record>>();
      const { client } = await chatting(
        (stream) => {
          const ear: Ear<v1.Record, v1.Record> = new Ear(stream, () => {
            throw new InvariantError('broken');
          });
          server.resolve(ear);
        },
        { onFault: (fault) => faults.push(fault.message) },
      );
      const ear = new Ear(client.chat());
      for (const word of ['a', 'b', 'c']) ear.stream.write(record(word));
      expect((await ear.closed)?.errorName).toBe('UNKNOWN_SERVER_ERROR');
      const serverEar = await server.promise;
      expect((await serverEar.closed)?.errorName).toBe('UNKNOWN_SERVER_ERROR');
      expect(serverEar.events).toEqual(['message', 'close']);
      expect(faults).toEqual(['broken']);
    });

    test('survive an exception of the client’s listener: the stream closes with it, the handler hears', async () => {
      const faults: string[] = [];
      const server = deferred<Ear<v1.Record, v1.Record>>();
      const { client } = await chatting(
        (stream) => server.resolve(new Ear(stream, (message) => stream.write(message))),
        {},
        { onFault: (fault) => faults.push(fault.message) },
      );
      const ear: Ear<v1.Record, v1.Record> = new Ear(client.chat(), () => {
        throw new InvariantError('client bug');
      });
      ear.stream.write(record('x'));
      expect((await ear.closed)?.errorName).toBe('UNKNOWN_SERVER_ERROR');
      expect(await (await server.promise).closed).toBeInstanceOf(BarnabasError);
      expect(faults).toEqual(['client bug']);
    });

    test('report a handler that does not handle its stream', async () => {
      const faults: string[] = [];
      const { client } = await chatting(() => {}, { onFault: (fault) => faults.push(fault.message) });
      expect((await new Ear(client.chat()).closed)?.errorName).toBe('UNKNOWN_SERVER_ERROR');
      expect(faults).toHaveLength(1);
    });

    test('refuse a message above the limit and end with MESSAGE_TOO_LARGE', async () => {
      const { client } = await chatting((stream) => new Ear(stream), { limits: { maxMessageBytes: 4_000 } });
      const ear = new Ear(client.chat());
      ear.stream.write(record(Buffer.alloc(5_000)));
      expect((await ear.closed)?.errorName).toBe('MESSAGE_TOO_LARGE');
    });

    test('hold messages until a slow interceptor has admitted the call', async () => {
      const admitted = deferred<void>();
      const { client } = await chatting(
        (stream) => {
          const ear: Ear<v1.Record, v1.Record> = new Ear(stream, (message) => stream.write(message));
          void ear.until(() => ear.ended).then(() => stream.end());
        },
        {
          interceptors: [
            {
              admit: async (context) => {
                await admitted.promise;
                return context;
              },
            },
          ],
        },
      );
      const ear = new Ear(client.chat());
      ear.stream.write(record('early'));
      ear.stream.end();
      await settled();
      expect(ear.events).toEqual([]);
      admitted.resolve();
      expect(await ear.closed).toBeUndefined();
      expect(ear.messages.map(text)).toEqual(['early']);
    });

    test('tell a handler that was admitted too late that its caller is gone, after it has begun to listen', async () => {
      const admitting = deferred<void>();
      const admitted = deferred<void>();
      const told = deferred<[string, BarnabasError | undefined]>();
      const { client } = await chatting(
        (stream) => {
          let state = 'inside handle';
          stream.handle({ onMessage() {}, onClose: (error) => told.resolve([state, error]) });
          state = 'after handle';
        },
        {
          interceptors: [
            {
              admit: async (context) => {
                const gone = new Promise((resolve) => context.signal.addEventListener('abort', resolve));
                admitting.resolve();
                await gone;
                admitted.resolve();
                return context;
              },
            },
          ],
        },
      );
      const ear = new Ear(client.chat());
      await admitting.promise;
      ear.stream.cancel();
      await admitted.promise;
      const [state, error] = await told.promise;
      expect(state).toBe('after handle');
      expect(error?.errorName).toBe('NETWORK_EXCEPTION');
    });

    test('push back on a writer whose reader has paused, deliver everything once it resumes', async () => {
      const server = deferred<Ear<v1.Record, v1.Record>>();
      const limits = {
        writeHighWaterBytes: 64 * 1024,
        maxBufferedBytes: 8 * 1024 * 1024,
        streamWindowBytes: 64 * 1024,
      };
      const { client } = await chatting(
        (stream) => {
          const ear: Ear<v1.Record, v1.Record> = new Ear(stream);
          stream.pause();
          server.resolve(ear);
        },
        { limits },
        { limits: { writeHighWaterBytes: limits.writeHighWaterBytes } },
      );
      const ear = new Ear(client.chat());
      const { stream } = ear;
      const chunk = Buffer.alloc(32 * 1024);
      const serverEar = await server.promise;

      // Write until refused and nothing drains any more: windows and buffers are full.
      let sent = 0;
      let drains = -1;
      while (drains !== ear.drains) {
        drains = ear.drains;
        for (let accepted = true; accepted; sent += 1)
          accepted = stream.write(record(Buffer.concat([chunk, Buffer.from([sent % 256])])));
        await settled();
      }
      expect(stream.bufferedBytes).toBeLessThanOrEqual(limits.writeHighWaterBytes + 40 * 1024);
      expect(stream.bufferedBytes).toBeGreaterThan(0);
      // grpc-js's own send buffer, one window, one high water, and a message in each hand on the way: not sixteen.
      expect(sent * chunk.length).toBeLessThanOrEqual(1024 * 1024 + 2 * 64 * 1024 + 6 * chunk.length);
      const before = serverEar.messages.length;
      await settled();
      expect(serverEar.messages.length).toBe(before);

      serverEar.stream.resume();
      await serverEar.until(() => serverEar.messages.length === sent);
      await ear.until(() => ear.drains > drains);
      expect(serverEar.messages.map((message) => message.value?.at(-1))).toEqual(
        Array.from({ length: sent }, (_, i) => i % 256),
      );
      expect(stream.bufferedBytes).toBe(0);
    });

    test('bound what waits for a peer that never reads, however much is written', async () => {
      const server = deferred<Ear<v1.Record, v1.Record>>();
      const limits = { writeHighWaterBytes: 64 * 1024, maxBufferedBytes: 1024 * 1024 };
      const { client } = await chatting((stream) => server.resolve(new Ear(stream)), { limits });
      const stream = client.chat();
      stream.pause();
      const ear = new Ear(stream);
      const serverEar = await server.promise;
      let most = 0;
      // A handler that ignores what write() returns.
      for (let i = 0; i < 1_000 && !serverEar.events.includes('close'); i += 1) {
        serverEar.stream.write(record(Buffer.alloc(64 * 1024)));
        most = Math.max(most, serverEar.stream.bufferedBytes);
        if (i % 10 === 0) await settled();
      }
      const error = await serverEar.closed;
      expect(error?.errorName).toBe('THROTTLING_QUOTA_EXCEEDED');
      expect(most).toBeLessThanOrEqual(limits.maxBufferedBytes + 70 * 1024);
      expect((await ear.closed)?.errorName).toBe('THROTTLING_QUOTA_EXCEEDED');
    });

    test('stop delivering in the very message that pauses, and go on where they stopped', async () => {
      const server = deferred<Ear<v1.Record, v1.Record>>();
      const { client } = await chatting((stream) => server.resolve(new Ear(stream, () => stream.pause())));
      const ear = new Ear(client.chat());
      for (let i = 0; i < 10; i += 1) ear.stream.write(record(`${i}`));
      ear.stream.end();
      const serverEar = await server.promise;
      for (let i = 1; i <= 10; i += 1) {
        await serverEar.until(() => serverEar.messages.length === i);
        await settled();
        expect(serverEar.messages.map(text)).toEqual(Array.from({ length: i }, (_, at) => `${at}`));
        expect(serverEar.ended).toBe(false);
        serverEar.stream.resume();
      }
      await serverEar.until(() => serverEar.ended);
      serverEar.stream.end();
      expect(await ear.closed).toBeUndefined();
    });

    test('deliver nothing after a cancel, not even what a paused end had taken in', async () => {
      const { client } = await chatting((stream) => {
        void new Ear(stream);
        for (let i = 0; i < 50; i += 1) stream.write(record(`${i}`));
      });
      const ear = new Ear(client.chat());
      ear.stream.pause();
      for (let i = 0; i < 10; i += 1) await settled();
      ear.stream.resume();
      ear.stream.cancel();
      expect((await ear.closed)?.facts?.cancelled).toBe(true);
      expect(ear.events).toEqual(['close']);
    });

    test('do not tell a muted end of what was on its way when it cancelled', async () => {
      const server = deferred<Ear<v1.Record, v1.Record>>();
      const { client } = await chatting((stream) =>
        server.resolve(
          new Ear(stream, () => {
            for (let i = 0; i < 50; i += 1) stream.write(record(`${i}`));
          }),
        ),
      );
      const ear: Ear<v1.Record, v1.Record> = new Ear(client.chat(), () => ear.stream.cancel());
      ear.stream.write(record('go'));
      await ear.closed;
      await (await server.promise).closed;
      await settled();
      expect(ear.events).toEqual(['message', 'close']);
    });
  });
});
