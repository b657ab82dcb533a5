/** When a LevelStore syncs which files: the one promise of the port that no test without a power cut can see from outside. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ClassicLevel } from 'classic-level';
import { levelStoreFactory } from './index.js';
import * as files from './write-ahead-files.js';

jest.mock('./write-ahead-files.js', () => {
  const actual: typeof files = jest.requireActual('./write-ahead-files.js');
  return { ...actual, syncLogFiles: jest.fn(actual.syncLogFiles) };
});

const put = (key: string) => ({ type: 'put', key: Buffer.from(key), value: Buffer.from('v') }) as const;

it('syncs by LevelDB’s flag while nothing unsynced is before, and file by file otherwise', async () => {
  const root = await mkdtemp(join(tmpdir(), 'barnabas-sync-'));
  const store = await levelStoreFactory.open(join(root, 'a'));
  const byFile = jest.mocked(files.syncLogFiles);
  const byFlag = jest.spyOn(ClassicLevel.prototype, 'batch');
  const did = () => {
    // Of batch's three signatures the types keep the one without arguments.
    const [, options] = (byFlag.mock.lastCall ?? []) as readonly unknown[] as [unknown?, { sync: boolean }?];
    const seen = [byFlag.mock.calls.length, options?.sync, byFile.mock.calls.length];
    byFlag.mockClear();
    byFile.mockClear();
    return seen;
  };

  // Nobody knows what a process that was killed here before had left unsynced.
  await store.write([put('a')], { sync: true });
  expect(did()).toEqual([1, false, 1]);
  await store.write([put('b')], { sync: true });
  await store.sync();
  expect(did()).toEqual([1, true, 0]);
  await store.write([put('c')], { sync: false });
  expect(did()).toEqual([1, false, 0]);
  await store.write([put('d')], { sync: true });
  expect(did()).toEqual([1, false, 1]);
  await store.clear({ lt: Buffer.from('b') });
  await store.sync();
  await store.sync();
  expect(did()).toEqual([0, undefined, 1]);

  // A write that begins during a sync may reach its file after it.
  await store.write([put('e')], { sync: false });
  const syncing = store.sync();
  await store.write([put('f')], { sync: false });
  await syncing;
  await store.sync();
  expect(did()).toEqual([2, false, 2]);

  await store.close();
  byFlag.mockRestore();
  await rm(root, { recursive: true, force: true });
});
