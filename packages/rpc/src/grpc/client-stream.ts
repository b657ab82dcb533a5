/**
 * The client's end of a stream. A call that fails ends at once, and what was received but not yet
 * delivered is lost with it; one that ends in good order ends after its last message.
 */
import type { BarnabasError } from '@barnabas/protocol';
import { status as Status } from '@grpc/grpc-js';
import type { ClientDuplexStream, ClientReadableStream, StatusObject } from '@grpc/grpc-js';
import { cancelledHere } from '../call-errors.js';
import { decodeResponse, encodeMessage } from '../codec.js';
import type { Limits } from '../limits.js';
import type { Classify } from '../stream-end.js';
import type { MethodDefinition } from '../types.js';
import { fromWireStatus } from '../wire-status.js';
import { GrpcStream } from './grpc-stream.js';

type ClientCall = ClientDuplexStream<Buffer, Buffer> | ClientReadableStream<Buffer>;

export class GrpcClientStream extends GrpcStream {
  /** Why this side broke the call off; what grpc-js says then is only that it was cancelled. */
  #failure: BarnabasError | undefined;

  constructor(
    private readonly call: ClientCall,
    method: MethodDefinition<unknown, unknown>,
    name: string,
    limits: Limits,
    classify: Classify,
    private readonly onOver: () => void,
  ) {
    super(
      {
        readable: call,
        writable: method.requestStream ? (call as ClientDuplexStream<Buffer, Buffer>) : undefined,
        encode: (message) => encodeMessage(method.requestType, message, limits.maxMessageBytes),
        decode: (bytes) => decodeResponse(method.responseType, bytes, name),
      },
      limits,
      classify,
    );
    // The same news comes as `status`; without a listener an error event would end the process.
    call.on('error', () => {});
    call.once('status', (status: StatusObject) => {
      if (status.code !== Status.OK) this.#close(this.#failure ?? fromWireStatus(status));
    });
  }

  cancel(): void {
    if (this.over) return;
    this.breakOff(cancelledHere());
  }

  protected breakOff(error: BarnabasError): void {
    this.#failure ??= error;
    this.mute();
    this.call.cancel();
  }

  protected abandon(error: BarnabasError): void {
    this.breakOff(error);
  }

  protected sendEnd(error: BarnabasError | undefined): void {
    if (error !== undefined) this.breakOff(error);
    else if ('end' in this.call) this.call.end();
  }

  /** grpc-js gives the status before the end, and a failure has closed the stream by now. */
  protected override onReadEnd(): void {
    this.receiveEnd();
    this.#close(this.#failure);
  }

  #close(error: BarnabasError | undefined): void {
    if (this.over) return;
    this.finish(error);
    this.onOver();
  }
}
