import { fakeController } from '@barnabas/client/testing';
import { FakeClusterCli } from '../test-kit/fake-cluster-cli.js';

let cli: FakeClusterCli;
beforeEach(() => {
  cli = new FakeClusterCli({ brokers: 1 });
  const { quorum } = cli.cluster;
  quorum.voters = [fakeController(1), fakeController(2, { lag: 3, logEndOffset: 7, lastContactMs: 12 })];
  quorum.observers = [fakeController(3, { lag: -1, logEndOffset: -1, lastContactMs: -1 })];
});
afterEach(() => cli.close());

const quorum = (...argv: string[]) => cli.run(['quorum', ...argv]);

test('describe: status and replication, both or one', async () => {
  const both = (await quorum('describe')).out;
  expect(both).toMatch(/^cluster +fake-cluster\nleader +1\nterm +1\nhigh watermark +10\nsnapshot +0\n/);
  expect(both).toMatch(/^greatest lag of a voter +3$/m);
  expect(both).toMatch(/^voters +1@controller-1.fake:7800:directory-1, 2@controller-2.fake:7800:directory-2$/m);
  expect(both).toMatch(/CONTROLLER +DIRECTORY ID +ADDRESS +ROLE +LOG END +LAG +LAST CONTACT\n/);
  expect(both).toMatch(/1 +directory-1 +controller-1.fake:7800 +leader +10 +0 +0 ms ago\n/);
  expect(both).toMatch(/2 +directory-2 +controller-2.fake:7800 +voter +7 +3 +12 ms ago\n/);
  expect(both).toMatch(/3 +directory-3 +controller-3.fake:7800 +observer +\? +\? +never\n/);
  const status = (await quorum('describe', '--status')).out;
  const replication = (await quorum('describe', '--replication')).out;
  expect(both).toBe(`${status}\n${replication}`);
  expect(await cli.json(['quorum', 'describe'])).toMatchObject({
    ...{ leaderId: 1, leaderEpoch: 1 },
    voters: [{ id: 1 }, { id: 2, lag: 3, lastContactMs: 12 }],
    observers: [{ id: 3, lag: -1 }],
  });
});

test('a voter is added, the lead handed over, the old leader removed', async () => {
  expect(await quorum('add-voter', '3')).toMatchObject({ code: 0, out: 'controller 3 votes\n' });
  expect(await quorum('transfer-leader', '3')).toMatchObject({ code: 0, out: 'controller 3 leads\n' });
  expect(await quorum('remove-voter', '1', '--directory-id', 'directory-1')).toMatchObject({
    code: 0,
    out: 'controller 1 votes no more\n',
  });
  expect(cli.cluster.quorum.voters.map(({ id }) => id)).toEqual([2, 3]);
  expect(await cli.json(['quorum', 'transfer-leader'])).toEqual({ leaderId: 2 });
});

test('the observer and its address can be named exactly', async () => {
  const argv = ['quorum', 'add-voter', '3', '--directory-id', 'directory-3', '--address', 'elsewhere:7'];
  expect(await cli.json(argv)).toEqual({ id: 3, directoryId: 'directory-3', address: 'elsewhere:7', added: true });
  expect(cli.cluster.quorum.voters.at(-1)).toMatchObject({ host: 'elsewhere', port: 7 });
});

test.each([
  [['add-voter', '2'], 1, '[DUPLICATE_VOTER]'],
  [['add-voter', '3', '--directory-id', 'other'], 1, '[VOTER_NOT_FOUND]'],
  [['add-voter', '3', '--address', 'nowhere'], 1, 'give host:port [INVALID_REQUEST]'],
  [['remove-voter', '9'], 1, '[VOTER_NOT_FOUND]'],
  [['transfer-leader', '3'], 1, '[VOTER_NOT_FOUND]'],
  [['add-voter', 'x'], 2, 'Must be a whole number from 0'],
  [['remove-voter'], 2, "missing required argument 'controller'"],
])('%j is refused', async (argv, exit, message) => {
  const { code, out, err } = await quorum(...argv);
  expect(err).toContain(message);
  expect(err).toMatch(/^barnabas: [^\n]+\n$/);
  expect([code, out]).toEqual([exit, '']);
});

describe('features', () => {
  beforeEach(() => {
    const { features } = cli.cluster.quorum;
    features.set('metadata.version', { level: 1, minSupported: 1, maxSupported: 3 });
    features.set('other', { level: 2, minSupported: 0, maxSupported: 2 });
  });
  const features = (...argv: string[]) => cli.run(['features', ...argv]);

  test('describe', async () => {
    expect((await features('describe')).out).toMatch(
      /^FEATURE +LEVEL +SUPPORTED\nmetadata.version +1 +1 to 3\nother +2 +0 to 2\n$/,
    );
    expect(await cli.json(['features', 'describe'])).toHaveLength(2);
  });

  test('upgrade to what is named, or everything to the highest', async () => {
    expect((await features('upgrade', '--feature', 'metadata.version=2')).out).toBe('metadata.version has level 2\n');
    expect((await features('upgrade', '--dry-run')).out).toBe('metadata.version could be set to level 3\n');
    expect(cli.cluster.quorum.features.get('metadata.version')?.level).toBe(2);
    expect((await features('upgrade')).out).toBe('metadata.version has level 3\n');
    expect((await features('upgrade')).err).toBe('every feature has its highest level\n');
  });

  test('a downgrade has its own command', async () => {
    expect((await features('upgrade', '--feature', 'other=1')).err).toContain('[FEATURE_UPDATE_FAILED]');
    expect((await features('downgrade', '--feature', 'other=0')).out).toBe('other has level 0\n');
    expect((await features('downgrade')).code).toBe(2);
    expect((await features('downgrade', '--feature', 'other=x')).err).toContain('a level is a whole number');
  });
});
