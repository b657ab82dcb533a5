/**
 * Which process of this machine holds the other end of a TCP connection over the loopback, by Linux'
 * /proc: the connection's line in net/tcp names a socket, and the process that has it open owns it.
 */
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import type { Socket } from 'node:net';

/** Whether this machine can tell. */
export const canTellOwners = process.platform === 'linux';

/** The one of `pids` that dialled an accepted connection; undefined if it is none of them. */
export function ownerOf(accepted: Socket, pids: Iterable<number>): number | undefined {
  const inode = inodeOf(accepted.remotePort ?? 0, accepted.localPort ?? 0);
  if (inode === undefined) return undefined;
  const name = `socket:[${inode}]`;
  for (const pid of pids) if (hasOpen(pid, name)) return pid;
  return undefined;
}

/** `sl local_address rem_address st queues tr retrnsmt uid timeout inode …`, addresses as HEX:HEXPORT. */
function inodeOf(localPort: number, remotePort: number): string | undefined {
  const hex = (port: number) => `:${port.toString(16).toUpperCase().padStart(4, '0')}`;
  for (const line of readFileSync('/proc/net/tcp', 'latin1').split('\n')) {
    const fields = line.trim().split(/\s+/);
    if (fields[1]?.endsWith(hex(localPort)) === true && fields[2]?.endsWith(hex(remotePort)) === true) return fields[9];
  }
  return undefined;
}

function hasOpen(pid: number, name: string): boolean {
  const directory = `/proc/${pid}/fd`;
  try {
    return readdirSync(directory).some((fd) => linkOf(`${directory}/${fd}`) === name);
  } catch {
    return false; // The process has just ended.
  }
}

function linkOf(path: string): string | undefined {
  try {
    return readlinkSync(path);
  } catch {
    return undefined;
  }
}
