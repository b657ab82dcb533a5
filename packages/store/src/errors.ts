/** Why a store refused. The message says what to do; callers act on the kind. */

export type StoreErrorKind =
  /** Another process, or this one, has it open. */
  | 'locked'
  /** The location, or a part of its path, is something else than a directory. */
  | 'not-a-directory'
  /** There is no store at the location and none may be made. */
  | 'not-found'
  /** What is on disk cannot be understood. */
  | 'corrupt'
  /** The disk is full. */
  | 'no-space'
  /** The operating system refused a read or a write. */
  | 'io'
  /** The store is closed. */
  | 'closed';

export class StoreError extends Error {
  override readonly name = 'StoreError';
  constructor(
    readonly kind: StoreErrorKind,
    message: string,
    readonly location: string,
    options?: { readonly cause?: unknown },
  ) {
    super(message, options);
  }
}
