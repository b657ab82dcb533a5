/** The sending end of a server stream whose transport takes as many messages as a test allows. */
import type { BarnabasError } from '@barnabas/protocol';
import type { ResponseStream, StreamListener } from '@barnabas/rpc';

export class FakeStream<Out> implements ResponseStream<Out> {
  readonly written: Out[] = [];
  ended: { readonly error: BarnabasError | undefined } | undefined;
  #listener: StreamListener<never> | undefined;
  #room: number;

  constructor(room = Number.MAX_SAFE_INTEGER) {
    this.#room = room;
  }

  get bufferedBytes(): number {
    return 0;
  }

  handle(listener: StreamListener<never>): void {
    this.#listener = listener;
  }

  write(message: Out): boolean {
    this.written.push(message);
    this.#room--;
    return this.#room > 0;
  }

  end(error?: BarnabasError): void {
    this.ended ??= { error };
  }

  /** The transport takes `room` more messages. */
  drain(room: number): void {
    this.#room = room;
    this.#listener?.onDrain?.();
  }

  /** The other side is gone. */
  close(): void {
    this.#listener?.onClose(undefined);
  }

  /** What has been written since this was asked last. */
  take(): Out[] {
    return this.written.splice(0);
  }

  cancel(): void {
    this.close();
  }

  pause(): void {}

  resume(): void {}
}
