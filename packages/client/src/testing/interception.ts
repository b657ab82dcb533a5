/** How a test reaches into a fake cluster: every request of every node may be looked at, failed, held, lost or cut off. */
import type { ErrorName, v1 } from '@barnabas/protocol';

/** A message that a node has received. */
export interface InterceptedRequest {
  readonly nodeId: number;
  /** `Produce`, `ProduceStream`, `Fetch`, `GetMetadata` and so on. */
  readonly method: string;
  /** The request of a unary call; one message of a stream. */
  readonly message: unknown;
}

export type Interception =
  /** The request as a whole is refused; a stream goes on where its protocol allows that. */
  | { readonly kind: 'error'; readonly error: ErrorName }
  /** ProduceStream and Produce: entries for which a name is given are refused, the others appended. */
  | { readonly kind: 'entries'; readonly error: (entry: v1.ProduceEntry) => ErrorName | undefined }
  /** CommitOffsets: offsets of partitions for which a name is given are refused, the others committed. */
  | { readonly kind: 'offsets'; readonly error: (partition: v1.GroupPartition) => ErrorName | undefined }
  /** Handled when the promise resolves, as `then` says; on a stream everything behind it waits too. */
  | { readonly kind: 'hold'; readonly until: Promise<void>; readonly then?: Interception }
  /** Handled now, answered when the promise resolves. */
  | { readonly kind: 'hold-answer'; readonly until: Promise<void> }
  /** Handled now; the first entry is answered now, the others when the promise resolves. */
  | { readonly kind: 'answer-in-parts'; readonly until: Promise<void> }
  /** Never handled, never answered. */
  | { readonly kind: 'drop' }
  /** Handled, never answered. */
  | { readonly kind: 'drop-answer' }
  /** The connection breaks before it is handled. */
  | { readonly kind: 'disconnect' }
  /** The connection breaks after it was handled and before the answer. */
  | { readonly kind: 'disconnect-after' };

/** Returns what to do with the request; undefined leaves it to others, and in the end to the cluster. */
export type Interceptor = (request: InterceptedRequest) => Interception | undefined;

/** The interceptor for the first `count` requests that match, after which it does nothing. */
export function times(count: number, interceptor: Interceptor): Interceptor {
  let left = count;
  return (request) => {
    if (left === 0) return undefined;
    const action = interceptor(request);
    if (action !== undefined) left--;
    return action;
  };
}

/** The same for every request of one method. */
export function onMethod(method: string, action: Interception): Interceptor {
  return (request) => (request.method === method ? action : undefined);
}
