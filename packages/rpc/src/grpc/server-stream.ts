/**
 * The server's end of a stream. grpc-js says `cancelled` whenever a call is over, in good order or
 * not; which of the two it was follows from whether everything had been handed over before.
 */
import type { BarnabasError } from '@barnabas/protocol';
import type { ServerDuplexStream, ServerWritableStream } from '@grpc/grpc-js';
import { brokenOffHere, callerGone, deadlinePassed } from '../call-errors.js';
import type { Cancellation } from '../call-context.js';
import { decodeRequest, encodeMessage } from '../codec.js';
import type { Route } from '../dispatch.js';
import type { Limits } from '../limits.js';
import { toWireStatus } from '../wire-status.js';
import { GrpcStream } from './grpc-stream.js';
import { pingPeer, resetStream } from './insides.js';

type ServerCall = ServerDuplexStream<Buffer, Buffer> | ServerWritableStream<Buffer, Buffer>;

export class GrpcServerStream extends GrpcStream {
  #flushed = false;
  #failure: BarnabasError | undefined;

  constructor(
    private readonly call: ServerCall,
    route: Route,
    limits: Limits,
    private readonly cancellation: Cancellation,
  ) {
    super(
      {
        readable: route.kind === 'bidi' ? (call as ServerDuplexStream<Buffer, Buffer>) : undefined,
        writable: call,
        encode: (message) => encodeMessage(route.method.responseType, message, limits.maxMessageBytes),
        decode: (bytes) => decodeRequest(route.method.requestType, bytes, route.name),
      },
      limits,
      route.classify,
    );
    call.once('finish', () => {
      this.#flushed = true;
    });
    call.once('cancelled', () => this.#onOver());
  }

  ping(): Promise<void> {
    return this.over ? Promise.reject(callerGone()) : pingPeer(this.call);
  }

  cancel(): void {
    if (this.over) return;
    this.#failure ??= brokenOffHere();
    this.mute();
    resetStream(this.call, 'cancelled');
  }

  protected breakOff(error: BarnabasError): void {
    this.end(error);
  }

  protected abandon(error: BarnabasError): void {
    this.#failure ??= error;
    this.mute();
    resetStream(this.call, 'too-slow');
  }

  protected sendEnd(error: BarnabasError | undefined): void {
    this.mute();
    if (error === undefined) {
      this.call.end();
      return;
    }
    this.#failure ??= error;
    // How grpc-js takes a status for a stream: its own listener sends it once what was written is out.
    this.call.emit('error', toWireStatus(error));
  }

  #onOver(): void {
    const error = this.#failure ?? (this.#flushed ? undefined : whyOver(this.call));
    if (error !== undefined) this.cancellation.abort(error);
    this.finish(error);
  }
}

/** Why a call ended that its handler had not ended. */
export function whyOver(call: { getDeadline(): Date | number }): BarnabasError {
  return Date.now() >= Number(call.getDeadline()) ? deadlinePassed() : callerGone();
}
