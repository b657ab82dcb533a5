/**
 * What broken, hostile and careless clients send, over real sockets, to a gateway and to a broker:
 * each is told by name what was wrong, and the node serves on as if nothing had been.
 */
import { connect } from 'node:net';
import { once } from 'node:events';
import { BatchBuilder, ERRORS, v1 } from '@barnabas/protocol';
import type { ErrorName } from '@barnabas/protocol';
import type { RunningNode } from '@barnabas/cli/node';
import { addressOf, metric, Nodes, until } from '../support/nodes';
import { framed, outcomeOf, Wire } from '../support/wire';
import type { Outcome } from '../support/wire';

const LOG = 'barnabas.v1.LogService';
const MiB = 1024 * 1024;
const INVALID_ARGUMENT = 3;
const RESOURCE_EXHAUSTED = 8;
const UNIMPLEMENTED = 12;

let nodes: Nodes;
let node: RunningNode;
beforeAll(async () => {
  nodes = new Nodes();
  node = await nodes.start({ name: 'node', config: { 'auto.create.topics.enable': false } });
  await nodes
    .client(node)
    .admin()
    .createTopics([{ name: 'good', partitions: 2 }]);
});
afterAll(() => nodes?.close());

function batchOf(value: string | Buffer): Buffer {
  const builder = new BatchBuilder({ maxBytes: 64 * MiB, maxBatchBytes: 64 * MiB });
  const bytes = Buffer.from(value);
  if (!builder.tryAppend({ key: null, value: bytes, headers: [], timestamp: 1 })) throw new Error('no room');
  return builder.build();
}

const batchEntry = (batch: Buffer, topic = 'good', partition: number | undefined = 0) =>
  v1.ProduceEntry.create({ topic, partition, payload: { $case: 'batch', batch } });

const produceRequest = (...entries: v1.ProduceEntry[]) => v1.ProduceRequest.create({ entries });

/** A flipped bit behind the header: the CRC no longer holds. */
function corrupted(batch: Buffer): Buffer {
  const copy = Buffer.from(batch);
  const at = copy.length - 2;
  copy[at] = (copy[at] ?? 0) ^ 0x10;
  return copy;
}

/** The int64 2^60, which is no safe integer, as protobuf writes it. */
const HUGE_VARINT = Buffer.from([0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x10]);

describe.each(['gateway', 'broker'] as const)('a %s', (role) => {
  let wire: Wire;
  beforeEach(() => {
    wire = new Wire(addressOf(node, role));
  });
  afterEach(async () => {
    await wire.destroy();
    await serves();
  });

  const call = (method: string, body: Uint8Array) => wire.call(`${LOG}/${method}`, framed(body));

  async function produce(...entries: v1.ProduceEntry[]): Promise<readonly v1.ProduceResult[]> {
    const outcome = await call('Produce', v1.ProduceRequest.encode(produceRequest(...entries)).finish());
    expect(outcome).toMatchObject({ status: 0 });
    return v1.ProduceResponse.decode(outcome.messages[0] ?? Buffer.alloc(0)).results;
  }

  /** The only entry's error, by name. */
  async function produceError(entry: v1.ProduceEntry): Promise<{ name: ErrorName | undefined; text: string }> {
    const [result] = await produce(entry);
    const name = (Object.keys(ERRORS) as ErrorName[]).find((one) => ERRORS[one].code === result?.error?.code);
    expect(result?.baseOffset).toBe(-1);
    return { name, text: result?.error?.message ?? '' };
  }

  /** A new client is served: it writes, and reads what it wrote. */
  async function serves(): Promise<void> {
    const client = new Wire(addressOf(node, role));
    const body = v1.ProduceRequest.encode(produceRequest(batchEntry(batchOf('good'), 'good', 1))).finish();
    const written = await client.call(`${LOG}/Produce`, framed(body));
    const [result] = v1.ProduceResponse.decode(written.messages[0] ?? Buffer.alloc(0)).results;
    expect([written.status, result?.error]).toEqual([0, undefined]);
    const request = v1.ConsumeRequest.create({
      topic: 'good',
      partitions: [1],
      start: { position: { $case: 'offset', offset: result?.baseOffset ?? -1 } },
      maxRecords: 1,
    });
    const read = await client.call(`${LOG}/Consume`, framed(v1.ConsumeRequest.encode(request).finish()));
    const records = read.messages.flatMap((message) => v1.ConsumeResponse.decode(message).records);
    expect(records.map(({ value }) => Buffer.from(value ?? []).toString())).toEqual(['good']);
    await client.destroy();
  }

  function expectRefusal(outcome: Outcome, status: number, error: ErrorName | undefined, text: RegExp): void {
    expect([outcome.status, outcome.error, outcome.messages.length]).toEqual([status, error, 0]);
    expect(outcome.text).toMatch(text);
  }

  test('refuses a message that says it is too large, without waiting for it', async () => {
    const prefix = Buffer.alloc(5);
    prefix.writeUInt32BE(0x7fff_ffff, 1);
    const stream = wire.open(`${LOG}/Produce`);
    const outcome = outcomeOf(stream);
    stream.write(Buffer.concat([prefix, Buffer.alloc(1000)]));
    expectRefusal(await outcome, RESOURCE_EXHAUSTED, undefined, /larger than max/);
  });

  test('refuses a batch above max.message.bytes, and takes its neighbour', async () => {
    const [large, small] = await produce(batchEntry(batchOf('x'.repeat(2 * MiB))), batchEntry(batchOf('small')));
    expect(large?.error?.code).toBe(ERRORS.MESSAGE_TOO_LARGE.code);
    expect(large?.error?.message).toMatch(/max\.message\.bytes|1048588/);
    expect(small?.error).toBeUndefined();
  });

  test('refuses bytes that are no message', async () => {
    for (const body of [Buffer.from([0xff, 0xff, 0xff, 0xff]), Buffer.from([0x1a, 0x7f, 0x01]), Buffer.alloc(99, 7)]) {
      const text = /the request message of barnabas\.v1\.LogService\/Produce does not decode/;
      expectRefusal(await call('Produce', body), INVALID_ARGUMENT, 'INVALID_REQUEST', text);
    }
  });

  test('refuses a 64-bit integer that a number cannot hold', async () => {
    const entry = Buffer.concat([Buffer.from([0x0a, 4]), Buffer.from('good'), Buffer.from([0x28]), HUGE_VARINT]);
    const body = Buffer.concat([Buffer.from([0x0a, entry.length]), entry]);
    const text = /ListOffsets does not decode: .*(safe|larger|exceeds|MAX_SAFE_INTEGER)/i;
    expectRefusal(await call('ListOffsets', body), INVALID_ARGUMENT, 'INVALID_REQUEST', text);
  });

  test('refuses a call of a method that is not there, and of a service that is not there', async () => {
    expectRefusal(await call('Explode', Buffer.alloc(0)), UNIMPLEMENTED, undefined, /does not implement/);
    const outcome = await wire.call('no.such.Service/Method', framed(Buffer.alloc(0)));
    expectRefusal(outcome, UNIMPLEMENTED, undefined, /does not implement/);
  });

  test('refuses requests that ask for nothing, or for what cannot be', async () => {
    const { ProduceRequest } = v1;
    const entry = batchEntry(batchOf('x'));
    const refusals: readonly (readonly [Partial<v1.ProduceRequest>, ErrorName, RegExp])[] = [
      [{ entries: [] }, 'INVALID_REQUEST', /at least one entry/],
      [{ entries: [entry], timeoutMs: -1 }, 'INVALID_REQUEST', /timeout_ms must not be negative/],
      [{ entries: [entry], acks: 17 as v1.Acks }, 'INVALID_REQUIRED_ACKS', /ALL, LEADER and NONE/],
    ];
    for (const [request, name, text] of refusals) {
      const body = ProduceRequest.encode({ ...ProduceRequest.create(), ...request }).finish();
      expectRefusal(await call('Produce', body), INVALID_ARGUMENT, name, text);
    }
    expect(await produceError(v1.ProduceEntry.create({ topic: 'good', partition: 0 }))).toEqual({
      name: 'INVALID_REQUEST',
      text: expect.stringMatching(/batch or records/) as string,
    });
  });

  test('refuses a batch whose CRC does not hold, and other batches that are none', async () => {
    expect(await produceError(batchEntry(corrupted(batchOf('value'))))).toEqual({
      name: 'CORRUPT_MESSAGE',
      text: expect.stringMatching(/CRC/i) as string,
    });
    const whole = batchOf('value');
    for (const broken of [whole.subarray(0, -1), Buffer.concat([whole, Buffer.alloc(3)]), Buffer.alloc(80, 0xff)]) {
      const { name } = await produceError(batchEntry(broken));
      expect(['CORRUPT_MESSAGE', 'INVALID_RECORD', 'UNSUPPORTED_FOR_MESSAGE_FORMAT']).toContain(name);
    }
  });

  test('names topics and partitions that are not there', async () => {
    const batch = batchOf('x');
    const unknown = { name: 'UNKNOWN_TOPIC_OR_PARTITION', text: expect.stringContaining('nowhere') as string };
    expect(await produceError(batchEntry(batch, 'nowhere'))).toEqual(unknown);
    for (const partition of [2, 2_147_483_647, -1]) {
      const { name, text } = await produceError(batchEntry(batch, 'good', partition));
      expect([partition, name]).toEqual([partition, 'UNKNOWN_TOPIC_OR_PARTITION']);
      expect(text).toMatch(/good/);
    }
    const request = v1.ConsumeRequest.encode(v1.ConsumeRequest.create({ topic: 'nowhere' })).finish();
    expectRefusal(await call('Consume', request), 5, 'UNKNOWN_TOPIC_OR_PARTITION', /nowhere/);
  });

  test('refuses topic names that are not legal, wherever they come', async () => {
    const illegal = ['', '.', '..', 'a/b', 'a b', 'ü', 'x'.repeat(250)];
    const request = v1.CreateTopicsRequest.create({ topics: illegal.map((name) => v1.NewTopic.create({ name })) });
    const created = await wire.call(
      'barnabas.v1.AdminService/CreateTopics',
      framed(v1.CreateTopicsRequest.encode(request).finish()),
    );
    const { results } = v1.CreateTopicsResponse.decode(created.messages[0] ?? Buffer.alloc(0));
    expect(results.map(({ error }) => error?.code)).toEqual(illegal.map(() => ERRORS.INVALID_TOPIC_EXCEPTION.code));
    for (const topic of illegal) {
      const { name, text } = await produceError(batchEntry(batchOf('x'), topic));
      expect([topic, name]).toEqual([topic, 'INVALID_TOPIC_EXCEPTION']);
      expect(text).not.toBe('');
    }
  });

  /** What a fetch stream with these messages brings, until the server ends it or a subscription ends. */
  async function fetch(...requests: v1.FetchRequest['request'][]): Promise<Outcome & { ended: v1.FetchResponse[] }> {
    const frames = requests.map((request) => framed(v1.FetchRequest.encode({ request }).finish()));
    const outcome = await wire.call(`${LOG}/Fetch`, Buffer.concat(frames));
    const ended = outcome.messages.map((message) => v1.FetchResponse.decode(message)).filter((one) => one.ended);
    return { ...outcome, ended };
  }

  const subscribe = (fields: Partial<v1.FetchSubscribe>): v1.FetchRequest['request'] => ({
    $case: 'subscribe',
    subscribe: v1.FetchSubscribe.create({ subscriptionId: 1, topic: 'good', ...fields }),
  });

  test('ends subscriptions that cannot be, one by one, and keeps the stream', async () => {
    const bad = [
      [{ offset: -7 }, 'OFFSET_OUT_OF_RANGE', /0 or more/],
      [{ offset: Number.MAX_SAFE_INTEGER }, 'OFFSET_OUT_OF_RANGE', /outside of the log/],
      [{ maxBytes: -1 }, 'INVALID_REQUEST', /must not be negative/],
      [{ minBytes: -1 }, 'INVALID_REQUEST', /must not be negative/],
      [{ maxWaitMs: -1 }, 'INVALID_REQUEST', /must not be negative/],
      [{ topic: 'nowhere' }, 'UNKNOWN_TOPIC_OR_PARTITION', /nowhere/],
      [{ topic: 'a/b' }, 'INVALID_TOPIC_EXCEPTION', /./],
      [{ partition: 9 }, 'UNKNOWN_TOPIC_OR_PARTITION', /good/],
      [{ leaderEpoch: 1_000 }, 'UNKNOWN_LEADER_EPOCH', /./],
    ] as const;
    const credit = { $case: 'credit', credit: { bytes: 1 } } as const;
    const { status, ended } = await fetch(
      credit,
      ...bad.map(([fields], id) => subscribe({ ...fields, subscriptionId: id })),
    );
    expect(status).toBe(0);
    ended.sort((left, right) => left.subscriptionId - right.subscriptionId);
    expect(ended.map(({ error }) => error?.code)).toEqual(bad.map(([, name]) => ERRORS[name].code));
    bad.forEach(([, , text], id) => expect(ended[id]?.error?.message).toMatch(text));
  });

  test('ends a fetch stream that uses an id twice, or says nothing', async () => {
    expectEnd(await fetch(subscribe({}), subscribe({ partition: 1 })), /subscription 1 is in use/);
    expectEnd(await fetch(undefined), /subscribes, unsubscribes or grants credit/);

    function expectEnd({ status, error, text }: Outcome, wanted: RegExp): void {
      expect([status, error]).toEqual([INVALID_ARGUMENT, 'INVALID_REQUEST']);
      expect(text).toMatch(wanted);
    }
  });

  test('takes the greatest credit there is, again and again', async () => {
    const credit = { $case: 'credit', credit: { bytes: 0xffff_ffff } } as const;
    const { status, ended } = await fetch(...Array.from({ length: 100 }, () => credit), subscribe({ partition: 7 }));
    expect([status, ended.length]).toEqual([0, 1]);
  });

  test('forgets clients that disappear in the middle of a produce stream, half a message sent', async () => {
    const request = { correlationId: 1, answerEarly: false, request: produceRequest(batchEntry(batchOf('half'))) };
    const message = framed(v1.ProduceStreamRequest.encode(request).finish());
    for (const cut of [3, 5, message.length - 1, message.length]) {
      const client = new Wire(addressOf(node, role));
      const stream = client.open(`${LOG}/ProduceStream`);
      stream.write(message);
      // Answered: the stream is known to the server. Then part of the next one, and gone.
      await once(stream, 'data');
      await new Promise((written) => stream.write(message.subarray(0, cut), written));
      await client.destroy();
    }
    await until(async () => (await metric(node, 'barnabas_gateway_produce_streams')) === 0);
  });

  test('forgets clients that disappear in the middle of a fetch stream and of a consume', async () => {
    const say = (request: v1.FetchRequest['request']) => framed(v1.FetchRequest.encode({ request }).finish());
    const openings: readonly (readonly [string, Buffer])[] = [
      ['Fetch', Buffer.concat([say(subscribe({})), say({ $case: 'credit', credit: { bytes: MiB } })])],
      [
        'Consume',
        framed(
          v1.ConsumeRequest.encode(
            v1.ConsumeRequest.create({ topic: 'good', start: { position: { $case: 'earliest', earliest: true } } }),
          ).finish(),
        ),
      ],
    ];
    for (const [method, opening] of openings) {
      const client = new Wire(addressOf(node, role));
      const stream = client.open(`${LOG}/${method}`);
      if (method === 'Consume') stream.end(opening);
      else stream.write(opening);
      await once(stream, 'data');
      await client.destroy();
    }
    await until(async () => (await metric(node, 'barnabas_gateway_readers')) === 0);
  });

  test('closes connections that do not speak HTTP/2', async () => {
    for (const text of [
      'GET / HTTP/1.1\r\nHost: x\r\n\r\n',
      '\0\0\0\0',
      'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\xff\xff\xff\xff\xff\xff\xff\xff\xff',
    ]) {
      const { host, port } = node.addresses.get(role) ?? { host: '', port: 0 };
      const socket = connect(port, host);
      socket.on('error', () => {});
      socket.resume();
      socket.end(Buffer.from(text, 'latin1'));
      if (!socket.closed) await once(socket, 'close');
    }
  });
});
