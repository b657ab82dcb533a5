/**
 * Says that one process works on a directory: a file with its id, gone when it ends in good order.
 *
 * A process that was killed leaves its file behind; whoever comes next sees that no such process
 * runs and takes over. Process ids are used again, so the file also has the process's start time.
 * This is for a clear message: what protects the data is LevelDB's own lock on each database, which
 * the kernel releases with the process.
 */
import { linkSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';

export interface LockOwner {
  readonly pid: number;
  /** Clock ticks since boot, where the system tells (Linux); else null. */
  readonly startTime: string | null;
}

export class DirectoryInUseError extends Error {
  override readonly name = 'DirectoryInUseError';
  constructor(
    readonly directory: string,
    readonly owner: LockOwner,
  ) {
    super(`${directory} is in use by process ${owner.pid}`);
  }
}

export interface ProcessLock {
  release(): void;
}

/** Takes the lock `.lock` in a directory, or throws a DirectoryInUseError. */
export function lockDirectory(directory: string): ProcessLock {
  const file = path.join(directory, '.lock');
  const own: LockOwner = { pid: process.pid, startTime: statOf(process.pid)?.startTime ?? null };
  const draft = `${file}.${process.pid}`;
  writeFileSync(draft, JSON.stringify(own));
  try {
    // A link is made with its content or not at all, and fails if the name is taken.
    for (let attempt = 0; ; attempt++) {
      if (tryLink(draft, file)) break;
      const owner = readOwner(file);
      if (owner !== undefined && (isRunning(owner) || attempt > 10)) throw new DirectoryInUseError(directory, owner);
      removeStale(file, draft);
    }
  } finally {
    rmSync(draft, { force: true });
  }
  return {
    release() {
      const owner = readOwner(file);
      if (owner?.pid === own.pid && owner.startTime === own.startTime) rmSync(file, { force: true });
    },
  };
}

function tryLink(draft: string, file: string): boolean {
  try {
    linkSync(draft, file);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  }
}

function readOwner(file: string): LockOwner | undefined {
  try {
    const owner = JSON.parse(readFileSync(file, 'utf8')) as Partial<LockOwner>;
    return typeof owner.pid === 'number' ? { pid: owner.pid, startTime: owner.startTime ?? null } : undefined;
  } catch {
    return undefined;
  }
}

/** Moves the stale file aside before it is removed, so that of two who try, only one takes it. */
function removeStale(file: string, draft: string): void {
  try {
    renameSync(file, `${draft}.stale`);
  } catch {
    return;
  }
  rmSync(`${draft}.stale`, { force: true });
}

function isRunning(owner: LockOwner): boolean {
  try {
    process.kill(owner.pid, 0);
  } catch (error) {
    // EPERM: it runs, as another user.
    if ((error as NodeJS.ErrnoException).code !== 'EPERM') return false;
  }
  const stat = statOf(owner.pid);
  // A zombie runs no more; only its parent has not looked yet.
  if (stat?.state === 'Z' || stat?.state === 'X') return false;
  return owner.startTime === null || stat?.startTime === owner.startTime;
}

/** Fields 3 and 22 of /proc/PID/stat; the command's name before them may hold spaces and parentheses. */
function statOf(
  pid: number,
): { readonly state: string | undefined; readonly startTime: string | undefined } | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return { state: fields[0], startTime: fields[19] };
  } catch {
    return undefined;
  }
}
