/**
 * How a broker's disk is filled, and made room on. Two ways:
 *
 *   small file systems   each broker's data directory is a file system of its own, in a file (ext4, loop
 *                        mount): a ballast takes what is left of it. Needs Linux, root and mkfs.ext4
 *   file size limits     a limit on the size of files of one running process, for whoever has no rights:
 *                        appends fail just so, with another error of the file system. Needs prlimit
 */
import { execFileSync } from 'node:child_process';
import { mkdirSync, rmSync, statfsSync, truncateSync, writeFileSync } from 'node:fs';
import path from 'node:path';

/** A broker, as far as its disk is concerned. */
export interface DiskOwner {
  readonly dataDir: string;
  /** Undefined when it does not run. */
  readonly pid: number | undefined;
}

export interface FullDisks {
  /** In a few words. */
  readonly how: string;
  /** Before the broker starts for the first time. */
  prepare(dataDir: string): void;
  fill(owner: DiskOwner): void;
  makeRoom(owner: DiskOwner): void;
  /** All processes have ended. */
  close(): void;
}

/** What a run of half an hour needs, several times over. */
const FILE_SYSTEM_BYTES = 1024 ** 3;
/** No file may grow beyond this: small enough to stop every log, large enough for a lock file. */
const FULL_DISK_BYTES = 4_096;

/** The best way of this machine; undefined if there is none. */
export function fullDisks(scratchDir: string): FullDisks | undefined {
  const trial = new SmallFileSystems(16 * 1024 ** 2);
  try {
    trial.prepare(path.join(scratchDir, 'trial'));
    return new SmallFileSystems(FILE_SYSTEM_BYTES);
  } catch {
    return canRun('prlimit', '--version') ? new FileSizeLimits() : undefined;
  } finally {
    trial.close();
  }
}

class SmallFileSystems implements FullDisks {
  readonly how = 'each broker has a small file system of its own';
  readonly #mounted: string[] = [];

  constructor(private readonly sizeInBytes: number) {}

  prepare(dataDir: string): void {
    const image = `${dataDir}.ext4`;
    mkdirSync(dataDir, { recursive: true });
    writeFileSync(image, '');
    truncateSync(image, this.sizeInBytes);
    quietly('mkfs.ext4', '-q', '-F', '-m', '0', image);
    quietly('mount', '-o', 'loop', image, dataDir);
    this.#mounted.push(dataDir);
    // It would be taken for a log by nobody, but the directory is to be the broker's alone.
    rmSync(path.join(dataDir, 'lost+found'), { recursive: true, force: true });
  }

  fill({ dataDir }: DiskOwner): void {
    for (let left = freeBytes(dataDir); left > 0; left = Math.min(freeBytes(dataDir), Math.floor(left / 2))) {
      try {
        // Whoever writes meanwhile may have taken some of it: half as much then, and so on.
        quietly('fallocate', '-o', String(ballastSize(dataDir)), '-l', String(left), ballastOf(dataDir));
      } catch {
        continue;
      }
    }
  }

  makeRoom({ dataDir }: DiskOwner): void {
    rmSync(ballastOf(dataDir), { force: true });
  }

  close(): void {
    for (const dataDir of this.#mounted.splice(0)) {
      quietly('umount', dataDir);
      rmSync(`${dataDir}.ext4`, { force: true });
    }
  }
}

class FileSizeLimits implements FullDisks {
  readonly how = 'files of a broker may not grow';

  prepare(): void {}

  fill({ pid }: DiskOwner): void {
    limit(pid, String(FULL_DISK_BYTES));
  }

  makeRoom({ pid }: DiskOwner): void {
    limit(pid, 'unlimited');
  }

  close(): void {}
}

function limit(pid: number | undefined, bytes: string): void {
  if (pid !== undefined) quietly('prlimit', '--pid', String(pid), `--fsize=${bytes}:`);
}

const ballastOf = (dataDir: string): string => path.join(dataDir, 'ballast');

function freeBytes(dir: string): number {
  const { bavail, bsize } = statfsSync(dir);
  return bavail * bsize;
}

function ballastSize(dataDir: string): number {
  try {
    return Number(execFileSync('stat', ['-c', '%s', ballastOf(dataDir)], { stdio: ['ignore', 'pipe', 'ignore'] }));
  } catch {
    return 0;
  }
}

function quietly(command: string, ...args: string[]): void {
  execFileSync(command, args, { stdio: 'ignore' });
}

function canRun(command: string, ...args: string[]): boolean {
  try {
    quietly(command, ...args);
    return true;
  } catch {
    return false;
  }
}
