/**
 * What all services of one fake node share: its interceptors, and its live streams, which break when
 * the node stops or a test cuts them.
 */
import { BarnabasError } from '@barnabas/protocol';
import type { Interception } from './interception.js';

export interface NodeContext {
  readonly nodeId: number;
  /** A gateway serves every partition. */
  readonly isGateway: boolean;
  intercept(method: string, message: unknown): Interception | undefined;
}

export class FakeNode implements NodeContext {
  readonly #streams = new Set<{ cancel(): void }>();

  constructor(
    readonly nodeId: number,
    readonly address: string,
    readonly isGateway: boolean,
    private readonly interceptRequest: (nodeId: number, method: string, message: unknown) => Interception | undefined,
  ) {}

  intercept(method: string, message: unknown): Interception | undefined {
    return this.interceptRequest(this.nodeId, method, message);
  }

  /** A stream, or a call that is held, that lives on this node; returns what to call when it is over. */
  addStream(stream: { cancel(): void }): () => void {
    this.#streams.add(stream);
    return () => this.#streams.delete(stream);
  }

  /** Breaks every stream. */
  disconnect(): void {
    for (const stream of [...this.#streams]) stream.cancel();
    this.#streams.clear();
  }

  /** A unary call through the interceptors. */
  async unary<Req, Res>(
    method: string,
    request: Req,
    handle: (request: Req, action?: Interception) => Res,
  ): Promise<Res> {
    const action = this.intercept(method, request);
    switch (action?.kind) {
      case 'error':
        throw new BarnabasError(action.error, `injected into ${method}`);
      case 'disconnect':
        throw lost();
      case 'disconnect-after':
        handle(request);
        throw lost();
      case 'drop':
        return new Promise<Res>(() => undefined);
      case 'drop-answer':
        handle(request);
        return new Promise<Res>(() => undefined);
      case 'hold':
        await action.until;
        return handle(request);
      case 'answer-in-parts':
      case 'hold-answer': {
        const response = handle(request);
        await action.until;
        return response;
      }
      case 'entries':
      case 'offsets':
      case undefined:
        return handle(request, action);
    }
  }
}

export function lost(): BarnabasError {
  return new BarnabasError('NETWORK_EXCEPTION', 'the connection broke, injected');
}
