/**
 * A gRPC client made of nothing but HTTP/2 frames, for what a proper client cannot say: bytes that
 * are no message, lengths that are a lie, calls broken off in the middle. One connection each.
 */
import http2 from 'node:http2';
import type { ClientHttp2Session, ClientHttp2Stream } from 'node:http2';

export interface Outcome {
  /** gRPC's numeric status; undefined if the stream ended without one. */
  readonly status: number | undefined;
  /** The name in Barnabas' error table, where the server gave one. */
  readonly error: string | undefined;
  readonly text: string;
  /** Whole messages received. */
  readonly messages: readonly Buffer[];
}

export class Wire {
  readonly #session: ClientHttp2Session;

  constructor(address: string) {
    this.#session = http2.connect(`http://${address}`);
    this.#session.on('error', () => {});
  }

  /** Starts a call; the caller writes frames to it, or breaks it off. */
  open(method: string, headers: Readonly<Record<string, string>> = {}): ClientHttp2Stream {
    const stream = this.#session.request({
      ':method': 'POST',
      ':path': `/${method}`,
      'content-type': 'application/grpc',
      te: 'trailers',
      ...headers,
    });
    stream.on('error', () => {});
    return stream;
  }

  /** One call with these bytes as its body, whatever they are, to its end. */
  call(method: string, body: Buffer): Promise<Outcome> {
    const stream = this.open(method);
    const outcome = outcomeOf(stream);
    stream.end(body);
    return outcome;
  }

  /** Breaks the connection off as a client does whose machine loses power: no goodbye. */
  destroy(): Promise<void> {
    if (this.#session.destroyed) return Promise.resolve();
    const closed = new Promise<void>((resolve) => this.#session.once('close', resolve));
    this.#session.destroy();
    return closed;
  }
}

/** How a call ends. */
export function outcomeOf(stream: ClientHttp2Stream): Promise<Outcome> {
  const chunks: Buffer[] = [];
  let headers: Readonly<Record<string, unknown>> = {};
  stream.on('response', (given) => (headers = { ...headers, ...given }));
  stream.on('trailers', (given) => (headers = { ...headers, ...given }));
  stream.on('data', (chunk: Buffer) => chunks.push(chunk));
  return new Promise((resolve) => {
    // A server may end a call while its client is still talking; the stream closes only after both.
    stream.once('end', finish);
    stream.once('close', finish);

    function finish(): void {
      const status = headers['grpc-status'];
      resolve({
        status: status === undefined ? undefined : Number(status),
        error: headers['barnabas-error-code'] as string | undefined,
        text: decodeURIComponent(String(headers['grpc-message'] ?? '')),
        messages: unframed(Buffer.concat(chunks)),
      });
    }
  });
}

/** A message as gRPC frames it: not compressed, its length, its bytes. */
export function framed(message: Uint8Array): Buffer {
  const prefix = Buffer.alloc(5);
  prefix.writeUInt32BE(message.length, 1);
  return Buffer.concat([prefix, message]);
}

function unframed(bytes: Buffer): Buffer[] {
  const messages: Buffer[] = [];
  for (let at = 0; at + 5 <= bytes.length; ) {
    const end = at + 5 + bytes.readUInt32BE(at + 1);
    messages.push(bytes.subarray(at + 5, end));
    at = end;
  }
  return messages;
}
