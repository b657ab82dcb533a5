/**
 * LevelDB's files, as far as syncing and copying them needs to know: NNNNNN.log holds recent writes,
 * NNNNNN.ldb (or .sst) is a finished table that never changes, CURRENT names the MANIFEST.
 */
import { constants } from 'node:fs';
import { copyFile, link, open, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { codeOf } from './level-errors.js';

/**
 * Syncs every log file of a database. A log file that vanishes meanwhile has become a table, which
 * LevelDB itself syncs before it removes the log.
 */
export async function syncLogFiles(location: string): Promise<void> {
  const names = (await readdir(location)).filter((name) => name.endsWith('.log'));
  await Promise.all(names.map((name) => syncFile(join(location, name), 'data')));
  await syncFile(location, 'all');
}

/** Copies a database's files; finished tables are linked where the file system can. */
export async function copyDatabase(from: string, to: string): Promise<void> {
  const names = await readdir(from);
  const rank = (name: string): number => (name === 'CURRENT' ? 0 : name.startsWith('MANIFEST') ? 1 : 2);
  // CURRENT and MANIFEST first: files that they name and a live owner removes then fail the copy
  // visibly, instead of being left out of it.
  for (const name of names.sort((a, b) => rank(a) - rank(b))) {
    if (name === 'LOCK' || name === 'LOG' || name === 'LOG.old') continue;
    if (/\.(ldb|sst)$/.test(name)) await linkOrCopy(join(from, name), join(to, name));
    else await copyFile(join(from, name), join(to, name), constants.COPYFILE_FICLONE);
  }
}

async function linkOrCopy(from: string, to: string): Promise<void> {
  try {
    await link(from, to);
  } catch (error) {
    if (codeOf(error) === 'ENOENT') throw error;
    await copyFile(from, to, constants.COPYFILE_FICLONE);
  }
}

/** Syncs a file, or a directory's list of names ('all'). What is not there any more needs no sync. */
export async function syncFile(path: string, what: 'data' | 'all'): Promise<void> {
  const file = await open(path, 'r').catch((error: unknown) => {
    if (codeOf(error) === 'ENOENT') return undefined;
    throw error;
  });
  if (file === undefined) return;
  try {
    await (what === 'data' ? file.datasync() : file.sync());
  } finally {
    await file.close();
  }
}
