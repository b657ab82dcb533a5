/** What of a group call travels in its answer: every typed error. A broken invariant is no answer. */
import { InvariantError } from '@barnabas/common';
import { errorToProto, toBarnabasError } from '@barnabas/protocol';
import type { ErrorMessage } from '@barnabas/protocol';

export function errorOf(error: unknown): ErrorMessage {
  if (error instanceof InvariantError) throw error;
  return errorToProto(toBarnabasError(error));
}
