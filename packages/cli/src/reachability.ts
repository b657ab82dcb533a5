/**
 * Whether anything listens where a command wants to go. A client waits for a cluster that is down,
 * for minutes if need be; a person at a command line wants to know at once.
 */
import { connect } from 'node:net';
import { CliError } from './errors.js';

const CONNECT_TIMEOUT_MS = 5_000;

/** Throws unless one of the addresses accepts a connection. */
export async function mustAnswer(bootstrap: readonly string[]): Promise<void> {
  try {
    await Promise.any(bootstrap.map(tryConnect));
  } catch (error) {
    const [first] = (error as AggregateError).errors as readonly NodeJS.ErrnoException[];
    throw new CliError(
      `nothing answers at ${bootstrap.join(',')} (${first?.code ?? 'no connection'}): start a node with "barnabas start", or name another with --bootstrap host:port`,
      undefined,
      'NETWORK_EXCEPTION',
    );
  }
}

function tryConnect(address: string): Promise<void> {
  const at = address.lastIndexOf(':');
  const host = address.slice(0, at).replace(/^\[(.*)\]$/, '$1');
  return new Promise((resolve, reject) => {
    const socket = connect({ host, port: Number(address.slice(at + 1)), timeout: CONNECT_TIMEOUT_MS });
    const end = (settle: () => void) => {
      socket.destroy();
      settle();
    };
    socket.once('connect', () => end(resolve));
    socket.once('error', (error) => end(() => reject(error)));
    socket.once('timeout', () => end(() => reject(Object.assign(new Error('no answer'), { code: 'ETIMEDOUT' }))));
  });
}
