/** What only a store on disk can show: its errors, and that another process respects its lock. */
import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, readdir, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { levelStoreFactory } from './index.js';

const put = (key: string, value: string) =>
  ({ type: 'put', key: Buffer.from(key), value: Buffer.from(value) }) as const;

describe('LevelStore', () => {
  let root: string;
  beforeEach(async () => {
    root = await mkdtemp(join(tmpdir(), 'barnabas-level-'));
  });
  afterEach(() => rm(root, { recursive: true, force: true }));

  it('says that another process has it open', async () => {
    const store = await levelStoreFactory.open(join(root, 'a'));
    const script = `
      const { ClassicLevel } = require(process.argv[1]);
      const db = new ClassicLevel(process.argv[2]);
      db.open().then(() => console.log('opened'), (error) => console.log(error.cause.code));
    `;
    const { stdout } = await promisify(execFile)(process.execPath, [
      '-e',
      script,
      require.resolve('classic-level'),
      join(root, 'a'),
    ]);
    expect(stdout.trim()).toBe('LEVEL_LOCKED');
    await expect(levelStoreFactory.open(join(root, 'a'))).rejects.toMatchObject({
      kind: 'locked',
      message: expect.stringContaining('in use by another process'),
    });
    await store.close();
  });

  it('says that the location is a file, or lies beneath one', async () => {
    await writeFile(join(root, 'file'), 'x');
    for (const location of [join(root, 'file'), join(root, 'file', 'below')]) {
      await expect(levelStoreFactory.open(location)).rejects.toMatchObject({ kind: 'not-a-directory' });
      await expect(levelStoreFactory.openReadOnly(location)).rejects.toMatchObject({ kind: 'not-a-directory' });
    }
  });

  it('says that the database is damaged', async () => {
    const location = join(root, 'a');
    const store = await levelStoreFactory.open(location);
    await store.write([put('a', '1')], { sync: true });
    await store.close();
    const manifest = (await readdir(location)).find((name) => name.startsWith('MANIFEST')) ?? '';
    await truncate(join(location, manifest), 3);
    await expect(levelStoreFactory.open(location)).rejects.toMatchObject({ kind: 'corrupt' });
    await writeFile(join(location, 'CURRENT'), 'nonsense');
    await expect(levelStoreFactory.open(location)).rejects.toMatchObject({ kind: 'corrupt' });
  });

  it('takes an empty directory for a new store and, read-only, for no store', async () => {
    await mkdir(join(root, 'empty'));
    await expect(levelStoreFactory.openReadOnly(join(root, 'empty'))).rejects.toMatchObject({ kind: 'not-found' });
    const store = await levelStoreFactory.open(join(root, 'empty'));
    await store.close();
  });

  it('reads a picture of a damaged or running store without touching its files', async () => {
    const location = join(root, 'a');
    const store = await levelStoreFactory.open(location);
    await store.write([put('a', '1')], { sync: true });
    const before = await contents(location);
    const picture = await levelStoreFactory.openReadOnly(location);
    expect(String(await picture.get(Buffer.from('a')))).toBe('1');
    await picture.close();
    expect(await contents(location)).toEqual(before);
    await store.close();
  });

  it('drops a torn last write as a whole', async () => {
    const location = join(root, 'a');
    const store = await levelStoreFactory.open(location);
    await store.write([put('a', '1')], { sync: true });
    await store.write([put('b', '2'), put('c', '3')], { sync: true });
    const log = (await readdir(location)).find((name) => name.endsWith('.log')) ?? '';
    const bytes = await readFile(join(location, log));
    await store.close();
    await writeFile(join(location, log), bytes.subarray(0, bytes.length - 2));
    const reopened = await levelStoreFactory.open(location);
    expect(String(await reopened.get(Buffer.from('a')))).toBe('1');
    expect(await reopened.get(Buffer.from('b'))).toBeUndefined();
    expect(await reopened.get(Buffer.from('c'))).toBeUndefined();
    await reopened.close();
  });

  it('is complete after unsynced writes that span several log files and a sync', async () => {
    const store = await levelStoreFactory.open(join(root, 'a'), { writeBufferBytes: 64 * 1024 });
    const value = 'x'.repeat(40_000);
    for (let index = 0; index < 8; index++) await store.write([put(`k${index}`, value)], { sync: false });
    await store.write([put('last', '')], { sync: true });
    // What the operating system would find if it died now: the files as they are.
    const picture = await levelStoreFactory.openReadOnly(join(root, 'a'));
    const { entries } = await picture.readChunk({ keysOnly: true, chunkBytes: 1_000_000 });
    expect(entries).toHaveLength(9);
    await picture.close();
    await store.close();
  });
});

async function contents(directory: string): Promise<Map<string, string>> {
  const names = (await readdir(directory)).filter((name) => !name.startsWith('LOG')).sort();
  return new Map(
    await Promise.all(
      names.map(async (name) => [name, (await readFile(join(directory, name))).toString('hex')] as const),
    ),
  );
}
