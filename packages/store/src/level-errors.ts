/**
 * LevelDB's and the file system's refusals as StoreErrors. LevelDB 1.20 tells most of them apart only
 * in its text, so the texts are matched here and nowhere else.
 */
import { StoreError } from './errors.js';
import type { StoreErrorKind } from './errors.js';

interface Rule {
  readonly kind: StoreErrorKind;
  readonly matches: (code: string, text: string) => boolean;
  readonly message: (location: string) => string;
}

const RULES: readonly Rule[] = [
  {
    kind: 'locked',
    matches: (code) => code === 'LEVEL_LOCKED',
    message: (location) =>
      `${location} is in use by another process (or opened twice in this one): stop it or choose another directory`,
  },
  {
    kind: 'not-a-directory',
    matches: (code, text) => code === 'ENOTDIR' || code === 'EEXIST' || /Not a directory/.test(text),
    message: (location) => `${location} is not a directory: move the file away or choose another directory`,
  },
  {
    kind: 'not-found',
    matches: (code, text) => code === 'ENOENT' || /does not exist \(create_if_missing is false\)/.test(text),
    message: (location) => `there is no database at ${location}`,
  },
  {
    kind: 'no-space',
    matches: (code, text) => code === 'ENOSPC' || code === 'EDQUOT' || /No space left|quota exceeded/i.test(text),
    message: (location) => `the disk that holds ${location} is full: free some space`,
  },
  {
    kind: 'corrupt',
    matches: (code, text) => code === 'LEVEL_CORRUPTION' || /Corruption:|CURRENT file|missing files/.test(text),
    message: (location) => `the database at ${location} is damaged`,
  },
  {
    kind: 'closed',
    matches: (code) => code === 'LEVEL_DATABASE_NOT_OPEN' || code === 'LEVEL_ITERATOR_NOT_OPEN',
    message: (location) => `the database at ${location} is closed`,
  },
];

interface ErrorLike {
  readonly message: string;
  readonly code?: unknown;
  readonly cause?: unknown;
}

/** By shape: an error of the file system or a native module need not be of this realm's Error class. */
function isErrorLike(value: unknown): value is ErrorLike {
  return typeof value === 'object' && value !== null && 'message' in value && typeof value.message === 'string';
}

/** abstract-level wraps what made an open fail, and says only "not open" itself: the innermost cause counts. */
function innermost(error: unknown): { code: string; text: string } {
  if (!isErrorLike(error)) return { code: '', text: String(error) };
  if (isErrorLike(error.cause)) return innermost(error.cause);
  return { code: typeof error.code === 'string' ? error.code : '', text: error.message };
}

export function toStoreError(error: unknown, location: string): StoreError {
  if (error instanceof StoreError) return error;
  const { code, text } = innermost(error);
  const rule = RULES.find((candidate) => candidate.matches(code, text));
  if (rule === undefined) {
    return new StoreError('io', `the database at ${location} failed: ${text}`, location, { cause: error });
  }
  const detail = rule.kind === 'corrupt' || rule.kind === 'no-space' ? ` (${text})` : '';
  return new StoreError(rule.kind, `${rule.message(location)}${detail}`, location, { cause: error });
}

/** The code of a file system's or LevelDB's error, if it has one. */
export function codeOf(error: unknown): string {
  return innermost(error).code;
}
