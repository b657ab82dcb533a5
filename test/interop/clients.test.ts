/**
 * The clients of examples/clients against real nodes: each is generated from proto/ here and now, and knows
 * nothing but gRPC. Languages that are not installed are left out, and said so; so are those that take
 * minutes to build, unless they are built already or `npm run interop` asks for them.
 */
import { execFile } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { BarnabasClient } from '@barnabas/client';
import { ChaosCluster } from '../chaos/cluster';
import { example, isBuilt, LANGUAGES, SLOW_TO_BUILD, whyNot } from '../support/examples';
import type { Language } from '../support/examples';
import { GroupMember } from '../support/group-member';
import type { GroupMemberOptions } from '../support/group-member';
import { until } from '../support/nodes';
import { repository, Server } from '../support/server';

const run = promisify(execFile);
const BUILD_MS = 300_000;
/** Minutes, for languages that fetch and build what they depend on. */
const FIRST_BUILD_MS = 900_000;
const wantsAll = process.env['BARNABAS_INTEROP'] === 'all';

/** Why the language is left out here and now; undefined if it is not. */
function leftOut(language: Language): string | undefined {
  const problem = whyNot(language);
  if (problem !== undefined || wantsAll || !SLOW_TO_BUILD.includes(language) || isBuilt(language)) return problem;
  return 'it takes long to build the first time: npm run interop';
}

const present = LANGUAGES.filter((language) => leftOut(language) === undefined);
const absent = LANGUAGES.filter((language) => !present.includes(language));
const ifPresent = (language: Language) => (present.includes(language) ? it : it.skip);

/** What every quickstart prints: ten records, of three keys, in order within each key. */
function expectTenRecords(output: string): void {
  const read = [...output.matchAll(/^(\d+) (\d+) (key-\d) (hello \d)$/gm)].map(([, partition, offset, key, value]) => ({
    partition: Number(partition),
    offset: Number(offset),
    key,
    value,
  }));
  expect(read.map(({ value }) => value).sort()).toEqual(Array.from({ length: 10 }, (_, n) => `hello ${n}`));
  for (const key of ['key-0', 'key-1', 'key-2']) {
    const ofKey = read.filter((record) => record.key === key);
    expect(new Set(ofKey.map(({ partition }) => partition)).size).toBe(1);
    expect(ofKey.map(({ value }) => value)).toEqual(
      Array.from({ length: 10 }, (_, n) => n)
        .filter((n) => `key-${n % 3}` === key)
        .map((n) => `hello ${n}`),
    );
  }
  expect(output).toMatch(/wrote to partition \d+ from offset \d+/);
}

describe('clients in other languages', () => {
  let server: Server;
  let dataDir: string;

  beforeAll(async () => {
    dataDir = fs.mkdtempSync(path.join(os.tmpdir(), 'barnabas-interop-'));
    server = await Server.start({ dataDir, set: { 'num.partitions': 4 } });
  });

  afterAll(async () => {
    await server?.stop();
    fs.rmSync(dataDir, { recursive: true, force: true });
  });

  /** What the example prints. */
  async function outputOf(language: Language, name: string, ...args: readonly string[]): Promise<string> {
    const program = await example(language, name);
    const env = { ...process.env, ...program.environment };
    return (await run(program.command, [...program.args, server.bootstrap, ...args], { env })).stdout;
  }

  ifPresent('python')(
    'Python produces and consumes, and is a member of a group, each in fewer than 30 lines',
    async () => {
      for (const name of ['quickstart', 'subscribe']) {
        const script = path.join(repository, 'examples', 'clients', 'python', `${name}.py`);
        expect(fs.readFileSync(script, 'utf8').trimEnd().split('\n').length).toBeLessThan(30);
      }
      const consumed = await outputOf('python', 'quickstart', 'from-python');
      expectTenRecords(consumed);

      const lines = (text: string) => text.trim().split('\n').sort();
      const pushed = await outputOf('python', 'subscribe', 'from-python');
      expect(lines(pushed)).toEqual(lines(consumed).filter((line) => !line.startsWith('wrote')));
    },
    BUILD_MS,
  );

  ifPresent('go')(
    'Go produces and consumes',
    async () => expectTenRecords(await outputOf('go', 'quickstart', 'from-go')),
    BUILD_MS,
  );
});

const TOPIC = 'shared';
const PARTITIONS = 4;
/** Records of each step. */
const RECORDS = 40;

/** A member of a group of its own, and what it has printed. */
class Reader {
  readonly values = new Map<string, string>();
  readonly owned = new Set<number>();
  readonly nonsense: string[] = [];
  joined: { readonly memberId: string; readonly address: string }[] = [];
  lost = 0;
  readonly process: GroupMember;

  constructor(options: Pick<GroupMemberOptions, 'program' | 'bootstrap' | 'group' | 'logFile'>) {
    this.process = new GroupMember({
      ...options,
      topic: TOPIC,
      listener: {
        onJoined: (memberId, address) => this.joined.push({ memberId, address }),
        onAssigned: (partition) => this.owned.add(partition),
        onGone: (partition, how) => {
          this.owned.delete(partition);
          if (how === 'lost') this.lost++;
        },
        onRecord: (partition, offset, value) => this.values.set(`${partition}@${offset}`, value),
        onNonsense: (line) => this.nonsense.push(line),
      },
    });
  }

  get address(): string {
    return this.joined.at(-1)?.address ?? '';
  }
}

describe('members of groups in every language, over a cluster that loses nodes', () => {
  let dataDir: string;
  let cluster: ChaosCluster;
  let client: BarnabasClient;
  const readers = new Map<Language, Reader>();
  const written: string[] = [];

  /** Writes some records, and waits until every member has printed all that there are. */
  async function writeAndRead(): Promise<void> {
    const producer = client.producer({ acks: 'all' });
    const sent = Array.from({ length: RECORDS }, () => {
      const value = `record ${written.length}`;
      written.push(value);
      return producer.send({ topic: TOPIC, partition: written.length % PARTITIONS, value });
    });
    await Promise.all(sent);
    await producer.close();
    await until(() => Promise.resolve([...readers.values()].every(({ values }) => values.size >= written.length)));
    for (const { values } of readers.values()) expect([...values.values()].sort()).toEqual([...written].sort());
  }

  beforeAll(async () => {
    dataDir = fs.mkdtempSync(path.join(os.tmpdir(), 'barnabas-interop-'));
    cluster = await ChaosCluster.start({
      shape: { controllers: 1, brokers: 3, gateways: 2 },
      ...{ dataDir, logLevel: 'info', isDirect: true },
      set: { 'broker.session.timeout.ms': 2_000, 'broker.heartbeat.interval.ms': 400 },
      onUnexpectedExit: (node, how) => console.error(`${node.name} ${how}`),
    });
    client = new BarnabasClient({ bootstrap: cluster.bootstrap });
    const configs = { 'min.insync.replicas': '2' };
    await client.admin().createTopics([{ name: TOPIC, partitions: PARTITIONS, replicationFactor: 3, configs }]);
    await client.router.view.ensureTopic(TOPIC, { timeoutMs: 30_000, allowAutoTopicCreation: false });
  }, 60_000);

  afterAll(async () => {
    for (const { process } of readers.values()) process.signal('SIGKILL');
    await Promise.all([...readers.values()].map(({ process }) => process.exited));
    await client?.close(0);
    await cluster?.close();
    fs.rmSync(dataDir, { recursive: true, force: true });
  });

  // Left out, and said so.
  for (const language of absent) it.skip(`${language}: ${leftOut(language)}`, () => {});

  it.each(present)(
    '%s joins and is given every partition',
    async (language) => {
      const { bootstrap } = cluster;
      const logFile = path.join(dataDir, 'logs', `${language}.log`);
      const reader = new Reader({ program: await example(language, 'group'), bootstrap, group: language, logFile });
      readers.set(language, reader);
      await until(() => Promise.resolve(reader.owned.size === PARTITIONS));
      expect(cluster.bootstrap).toContain(reader.address);
    },
    FIRST_BUILD_MS,
  );

  it('they are given what is written', writeAndRead, 60_000);

  it('they are given what is written while a broker is lost', async () => {
    const leader = client.router.view.topic(TOPIC)?.partitions[0]?.leader ?? -1;
    const broker = cluster.broker(leader);
    if (broker === undefined) throw new Error(`broker ${leader} leads and is not there`);
    await cluster.kill(broker);
    await writeAndRead();
    await cluster.startNode(broker);
  }, 120_000);

  it('they go on as the same members at another gateway when they lose theirs', async () => {
    const [lost] = cluster.of('gateway');
    if (lost === undefined) throw new Error('there is a gateway');
    await cluster.kill(lost);
    await until(() => Promise.resolve([...readers.values()].every(({ address }) => address !== lost.address)));
    await writeAndRead();
    for (const { joined, lost: times } of readers.values()) {
      expect(new Set(joined.map(({ memberId }) => memberId)).size).toBe(1);
      expect(times).toBe(0);
    }
  }, 120_000);

  it('they leave in good order, and everything that they printed is committed', async () => {
    for (const { process } of readers.values()) process.signal('SIGTERM');
    for (const [language, { process, nonsense }] of readers) {
      expect({ language, ...(await process.exited), nonsense }).toEqual({
        ...{ language, code: 0, signal: null, nonsense: [] },
      });
      const lag = await client.admin().groupLag([language]);
      expect(lag.map(({ state, members }) => ({ state, members }))).toEqual([{ state: 'Empty', members: [] }]);
      const committed = lag.flatMap(({ partitions }) => partitions.map(({ committedOffset }) => committedOffset ?? 0));
      expect(committed.reduce((sum, offset) => sum + offset, 0)).toBe(written.length);
    }
  }, 60_000);
});
