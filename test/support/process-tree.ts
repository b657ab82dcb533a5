/** A process and those that it has started, by Linux' /proc; where there is none, the process alone. */
import { readdirSync, readFileSync } from 'node:fs';

export function processTree(pid: number): readonly number[] {
  return [pid, ...childrenOf(pid).flatMap(processTree)];
}

/** Those that have ended meanwhile are passed over. */
export function signalAll(pids: readonly number[], signal: NodeJS.Signals): void {
  for (const pid of pids) {
    try {
      process.kill(pid, signal);
    } catch {
      // It has just ended.
    }
  }
}

function childrenOf(pid: number): readonly number[] {
  const threads = `/proc/${pid}/task`;
  try {
    return readdirSync(threads).flatMap((thread) =>
      readFileSync(`${threads}/${thread}/children`, 'latin1').trim().split(' ').filter(Boolean).map(Number),
    );
  } catch {
    return []; // It has just ended, or the system has no such list.
  }
}
