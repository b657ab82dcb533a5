/** How long to wait before something that has failed is tried again: twice as long each time, up to a bound. */
export interface PauseBounds {
  readonly firstMs: number;
  readonly longestMs: number;
}

/** Far beyond all bounds, and still a number. */
const MOST_DOUBLINGS = 30;

/** `attempt`: the first is 1. */
export function growingPauseMs({ firstMs, longestMs }: PauseBounds, attempt: number): number {
  return Math.min(longestMs, firstMs * 2 ** Math.min(attempt - 1, MOST_DOUBLINGS));
}
