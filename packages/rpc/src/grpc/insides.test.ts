/** Looks at the wire with a bare HTTP/2 client: what insides.ts changes in grpc-js must really arrive there. */
import { once } from 'node:events';
import { connect } from 'node:http2';
import type { ClientHttp2Session, IncomingHttpHeaders, Settings } from 'node:http2';
import { deferred } from '@barnabas/common';
import type { RunningServer } from '../types.js';
import { service } from '../role.js';
import { TestDefinition } from '../test-kit/index.js';
import type { TestHandlers } from '../test-kit/index.js';
import { v1 } from '@barnabas/protocol';
import { serve } from './server.js';
import type { ServerLimits } from '../limits.js';

const KiB = 1024;
const MiB = 1024 * KiB;

/** The length-prefixed message of gRPC's wire format. */
function frame(bytes: Uint8Array): Buffer {
  const head = Buffer.alloc(5);
  head.writeUInt32BE(bytes.length, 1);
  return Buffer.concat([head, bytes]);
}

describe('a server as a bare HTTP/2 client sees it', () => {
  let server: RunningServer;
  let session: ClientHttp2Session;
  let onChat: TestHandlers['chat'] = () => {};

  const start = async (limits: Partial<ServerLimits>): Promise<Settings> => {
    const handlers: TestHandlers = {
      ask: async (request) => request,
      list: (_request, stream) => stream.handle({ onMessage() {}, onClose() {} }),
      chat: (stream, context) => onChat(stream, context),
    };
    server = await serve({
      listen: { host: '127.0.0.1', port: 0 },
      services: [service(TestDefinition, handlers)],
      limits,
    });
    session = connect(`http://127.0.0.1:${server.port}`);
    session.on('error', () => {});
    const [settings] = (await once(session, 'remoteSettings')) as [Settings];
    return settings;
  };

  const call = (method: string, headers: Record<string, string> = {}) =>
    session.request({
      ':method': 'POST',
      ':path': `/barnabas.test.TestService/${method}`,
      'content-type': 'application/grpc',
      te: 'trailers',
      ...headers,
    });

  afterEach(async () => {
    session.destroy();
    await server.stop(0);
  });

  test('announces wide windows and its limits', async () => {
    const settings = await start({});
    expect(settings.initialWindowSize).toBe(1 * MiB);
    expect(settings.maxConcurrentStreams).toBe(1_000);
    expect(settings.maxHeaderListSize).toBe(16 * KiB);
    // The connection's window is widened by a WINDOW_UPDATE behind the settings.
    while ((session.state.remoteWindowSize ?? 0) < 8 * MiB) await new Promise((resolve) => setImmediate(resolve));
    expect(session.state.remoteWindowSize).toBe(8 * MiB);
  });

  test('answers whoever asks whether a caller is there, for as long as it is', async () => {
    await start({});
    const stream = deferred<Parameters<TestHandlers['chat']>[0]>();
    onChat = (given) => {
      given.handle({ onMessage() {}, onClose() {} });
      stream.resolve(given);
    };
    const open = call('Chat');
    open.on('error', () => {});
    const given = await stream.promise;
    const ping = () => given.ping?.() ?? Promise.reject(new Error('it cannot be asked'));
    // More at once than HTTP/2 has room for.
    await expect(Promise.all(Array.from({ length: 30 }, ping))).resolves.toHaveLength(30);
    await ping();
    // In one turn: the caller is gone before it could answer.
    const unanswered = ping();
    session.destroy();
    await expect(unanswered).rejects.toMatchObject({ errorName: 'NETWORK_EXCEPTION' });
    await expect(ping()).rejects.toMatchObject({ errorName: 'NETWORK_EXCEPTION' });
  });

  test('lets a sender go exactly one window ahead of a reader that does not read', async () => {
    await start({ streamWindowBytes: 256 * KiB, connectionWindowBytes: 2 * MiB });
    onChat = (stream) => {
      stream.handle({ onMessage() {}, onClose() {} });
      stream.pause();
    };
    const stream = call('Chat');
    stream.on('error', () => {});
    const message = frame(v1.Record.encode(v1.Record.create({ value: Buffer.alloc(64 * KiB) })).finish());
    const before = session.socket.bytesWritten;
    for (let i = 0; i < 64; i += 1) stream.write(message);
    let through = 0;
    for (let quietTurns = 0; quietTurns < 50; quietTurns += 1) {
      await new Promise((resolve) => setImmediate(resolve));
      const now = session.socket.bytesWritten - before;
      if (now !== through) quietTurns = 0;
      through = now;
    }
    expect(through).toBeGreaterThanOrEqual(256 * KiB - message.length);
    expect(through).toBeLessThan(512 * KiB);
    stream.close();
  });

  test('lets others have their turn when messages take long, and delivers all, in order, with the end', async () => {
    await start({});
    const heard: string[] = [];
    const turns = new Set<number>();
    const ended = deferred<void>();
    let turn = 0;
    const count = (): void => {
      turn += 1;
      if (!stream.destroyed) setImmediate(count);
    };
    onChat = (stream) =>
      stream.handle({
        onMessage: ({ value }) => {
          heard.push(String(value));
          turns.add(turn);
          for (const begun = performance.now(); performance.now() - begun < 2; );
        },
        onEnd: () => ended.resolve(),
        onClose() {},
      });
    const stream = call('Chat');
    stream.on('error', () => {});
    setImmediate(count);
    const sent = Array.from({ length: 40 }, (_, i) => `${i}`);
    const messages = sent.map((value) => v1.Record.encode(v1.Record.create({ value: Buffer.from(value) })).finish());
    stream.end(Buffer.concat(messages.map(frame)));
    await ended.promise;
    stream.close();
    expect(heard).toEqual(sent);
    // 80 ms of work; a turn has 5, and goes over it by a message at most.
    expect(turns.size).toBeGreaterThanOrEqual(10);
  });

  test('refuses headers above the limit without harm to other calls', async () => {
    await start({ maxHeaderBytes: 4 * KiB });
    const large = call('Ask', { 'x-large': 'x'.repeat(8 * KiB) });
    const failed = deferred<void>();
    large.on('error', () => {});
    large.on('close', () => failed.resolve());
    await failed.promise;
    expect(large.rstCode).not.toBe(0);
    await expectAsk();
  });

  test.each([
    ['a call that does not exist', { ':path': '/nowhere/To%20go' }],
    ['a deadline that is nonsense', { 'grpc-timeout': 'soon' }],
    ['a deadline beyond all bounds', { 'grpc-timeout': '99999999H' }],
    ['an unknown encoding', { 'grpc-encoding': 'brotli' }],
    ['a content type of another protocol', { 'content-type': 'text/html' }],
    ['binary headers that are not base64', { 'x-data-bin': '%%%' }],
  ])('survives %s', async (_what, headers) => {
    await start({});
    const odd = call('Ask', headers);
    const over = once(odd, 'close');
    odd.on('error', () => {});
    odd.resume();
    odd.end(frame(Buffer.alloc(0)));
    await over;
    await expectAsk();
  });

  test.each([
    ['garbage', Buffer.from('this is not a message at all')],
    ['a length of 4 GiB', Buffer.from([0, 255, 255, 255, 255, 1])],
    ['a message cut short', frame(Buffer.alloc(100)).subarray(0, 50)],
    ['a compressed message without an encoding', Buffer.concat([Buffer.from([1, 0, 0, 0, 1]), Buffer.from([9])])],
    ['two messages to a unary call', Buffer.concat([frame(Buffer.alloc(0)), frame(Buffer.alloc(0))])],
    ['nothing', Buffer.alloc(0)],
  ])('survives %s', async (_what, body) => {
    await start({});
    const odd = call('Ask');
    const over = once(odd, 'close');
    odd.on('error', () => {});
    odd.resume();
    odd.end(body);
    await over;
    await expectAsk();
  });

  test.each([
    ['bytes that are no message', Buffer.from([0xff, 0xff, 0xff])],
    ['a varint without an end', Buffer.concat([Buffer.from([0x20]), Buffer.alloc(12, 0xff)])],
    // Record.timestamp_ms = 2^53
    ['an integer beyond 2^53', Buffer.from([0x20, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x10])],
  ])('answers INVALID_ARGUMENT and INVALID_REQUEST to %s', async (_what, message) => {
    await start({});
    onChat = (stream) => stream.handle({ onMessage() {}, onClose() {} });
    for (const method of ['Ask', 'List', 'Chat']) {
      const odd = call(method);
      const trailers = trailersOf(odd);
      odd.resume();
      odd.end(frame(message));
      const { status, code } = await trailers;
      expect([method, status, code]).toEqual([method, '3', 'INVALID_REQUEST']);
    }
  });

  test('says which error in grpc-status-details-bin and barnabas-error-code', async () => {
    await start({});
    const odd = call('Ask');
    const trailers = trailersOf(odd);
    odd.resume();
    odd.end(frame(Buffer.from([0xff])));
    const { details } = await trailers;
    const bytes = Buffer.from(details ?? '', 'base64');
    // google.rpc.Status: code 3 first, then the text, then an Any of barnabas.v1.Error.
    expect(bytes.subarray(0, 2)).toEqual(Buffer.from([8, 3]));
    expect(bytes.includes('type.googleapis.com/barnabas.v1.Error')).toBe(true);
  });

  test('keeps one error of a session or stream from ending the process', async () => {
    await start({});
    const odd = call('Chat');
    odd.on('error', () => {});
    odd.write(frame(Buffer.alloc(10)));
    session.destroy(new Error('gone'));
    session = connect(`http://127.0.0.1:${server.port}`);
    session.on('error', () => {});
    await expectAsk();
  });

  async function trailersOf(stream: ReturnType<typeof call>) {
    const headers = await new Promise<IncomingHttpHeaders>((resolve) => {
      stream.on('response', (head) => {
        if (head['grpc-status'] !== undefined) resolve(head);
      });
      stream.on('trailers', resolve);
    });
    return {
      status: headers['grpc-status'],
      code: headers['barnabas-error-code'],
      details: headers['grpc-status-details-bin'] as string | undefined,
    };
  }

  async function expectAsk(): Promise<void> {
    const stream = call('Ask');
    const trailers = trailersOf(stream);
    stream.resume();
    stream.end(frame(v1.Record.encode(v1.Record.create({})).finish()));
    expect((await trailers).status).toBe('0');
  }
});
