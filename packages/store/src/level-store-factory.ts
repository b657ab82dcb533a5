/** Opens LevelDB databases by directory. */
import { mkdir, mkdtemp, readdir, rename, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { ClassicLevel } from 'classic-level';
import { StoreError } from './errors.js';
import { toStoreError } from './level-errors.js';
import { LevelStore } from './level-store.js';
import type { Level } from './level-store.js';
import type { KeyValueStore, OpenOptions, StoreFactory } from './types.js';
import { copyDatabase, syncFile } from './write-ahead-files.js';

const MIB = 1024 * 1024;

/** A small block cache, because logs are read once and in order. */
const DEFAULTS = { writeBufferBytes: 8 * MIB, cacheBytes: 256 * 1024 };

/** Larger blocks mean fewer index entries; batches are usually larger than a block anyway. */
const BLOCK_BYTES = 16 * 1024;

/** Tables held open by one database: a broker has many databases, and logs are read in few places at a time. */
const MAX_OPEN_FILES = 128;

/** A live owner may replace files while they are copied; then the copy starts again. */
const COPY_ATTEMPTS = 3;

export const levelStoreFactory: StoreFactory = {
  async open(location: string, options: OpenOptions = {}): Promise<KeyValueStore> {
    return new LevelStore(await openDatabase(location, options));
  },

  async openReadOnly(location: string): Promise<KeyValueStore> {
    await mustHoldDatabase(location);
    const scratch = await mkdtemp(join(tmpdir(), 'barnabas-read-only-'));
    const discard = () => rm(scratch, { recursive: true, force: true });
    try {
      for (let attempt = 1; ; attempt++) {
        try {
          await copyDatabase(location, scratch);
          return new LevelStore(await openDatabase(scratch, { createIfMissing: false }), discard);
        } catch (error) {
          if (attempt === COPY_ATTEMPTS) throw toStoreError(error, location);
          await rm(scratch, { recursive: true });
          await mkdir(scratch, { mode: 0o700 });
        }
      }
    } catch (error) {
      await discard();
      throw error;
    }
  },

  async destroy(location: string): Promise<void> {
    try {
      // LevelDB looks at the lock; the rest of the directory goes with its files.
      await ClassicLevel.destroy(location);
      await rm(location, { recursive: true, force: true });
    } catch (error) {
      throw toStoreError(error, location);
    }
  },

  async list(directory: string): Promise<string[]> {
    const entries = await readdir(directory, { withFileTypes: true }).catch((error: unknown) => {
      const failure = toStoreError(error, directory);
      if (failure.kind === 'not-found') return [];
      throw failure;
    });
    return entries
      .filter((entry) => entry.isDirectory())
      .map((entry) => entry.name)
      .sort();
  },

  async rename(from: string, to: string): Promise<void> {
    try {
      await rename(from, to);
      await syncFile(dirname(to), 'all');
    } catch (error) {
      throw toStoreError(error, from);
    }
  },
};

async function openDatabase(location: string, options: OpenOptions): Promise<Level> {
  const database: Level = new ClassicLevel<Uint8Array, Uint8Array>(location, {
    keyEncoding: 'buffer',
    valueEncoding: 'buffer',
    compression: false,
    createIfMissing: options.createIfMissing ?? true,
    writeBufferSize: options.writeBufferBytes ?? DEFAULTS.writeBufferBytes,
    cacheSize: options.cacheBytes ?? DEFAULTS.cacheBytes,
    blockSize: BLOCK_BYTES,
    maxOpenFiles: MAX_OPEN_FILES,
  });
  try {
    await database.open();
  } catch (error) {
    throw toStoreError(error, location);
  }
  return database;
}

async function mustHoldDatabase(location: string): Promise<void> {
  const directory = await stat(location).catch((error: unknown) => {
    throw toStoreError(error, location);
  });
  if (!directory.isDirectory()) {
    throw new StoreError('not-a-directory', `${location} is not a directory`, location);
  }
  await stat(join(location, 'CURRENT')).catch((error: unknown) => {
    throw toStoreError(error, location);
  });
}
