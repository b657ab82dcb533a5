import {
  BarnabasError,
  ERRORS,
  errorFromProto,
  errorNameOf,
  errorToProto,
  isErrorName,
  toBarnabasError,
  v1,
} from './index.js';
import type { ClientAction, ErrorName } from './index.js';

const names = Object.keys(ERRORS) as ErrorName[];

test('the table and the proto enum have the same names and numbers', () => {
  const fromProto = Object.entries(v1.ErrorCode).filter(
    ([name, code]) => typeof code === 'number' && code !== v1.ErrorCode.NONE && name !== 'UNRECOGNIZED',
  );
  const fromTable = names.map((name) => [name, ERRORS[name].code] as const);
  expect(Object.fromEntries(fromTable)).toEqual(Object.fromEntries(fromProto));
  expect(fromProto.length).toBeGreaterThan(100);
});

test('every number stands for one name', () => {
  expect(new Set(names.map((name) => ERRORS[name].code)).size).toBe(names.length);
  for (const name of names) expect(errorNameOf(ERRORS[name].code)).toBe(name);
});

// The rows of docs/architecture.md, section 10.
test.each<[ClientAction, string, ErrorName[]]>([
  [
    'fix-request',
    'INVALID_ARGUMENT',
    ['INVALID_REQUEST', 'INVALID_TOPIC_EXCEPTION', 'INVALID_CONFIG', 'MESSAGE_TOO_LARGE', 'CORRUPT_MESSAGE'],
  ],
  ['refresh-metadata', 'NOT_FOUND', ['UNKNOWN_TOPIC_OR_PARTITION', 'UNKNOWN_TOPIC_ID']],
  [
    'retry-elsewhere',
    'ABORTED',
    ['NOT_LEADER_OR_FOLLOWER', 'FENCED_LEADER_EPOCH', 'NOT_COORDINATOR', 'NOT_CONTROLLER'],
  ],
  ['back-off', 'UNAVAILABLE', ['LEADER_NOT_AVAILABLE', 'COORDINATOR_LOAD_IN_PROGRESS', 'NOT_ENOUGH_REPLICAS']],
  ['reset-offset', 'OUT_OF_RANGE', ['OFFSET_OUT_OF_RANGE']],
  ['retry-if-idempotent', 'DEADLINE_EXCEEDED', ['REQUEST_TIMED_OUT', 'NOT_ENOUGH_REPLICAS_AFTER_APPEND']],
  ['stop', 'FAILED_PRECONDITION', ['PRODUCER_FENCED', 'OUT_OF_ORDER_SEQUENCE_NUMBER', 'FENCED_INSTANCE_ID']],
  ['rejoin', 'ABORTED', ['UNKNOWN_MEMBER_ID', 'FENCED_MEMBER_EPOCH', 'ILLEGAL_GENERATION']],
  ['slow-down', 'RESOURCE_EXHAUSTED', ['THROTTLING_QUOTA_EXCEEDED']],
  ['report', 'DATA_LOSS', ['KAFKA_STORAGE_ERROR']],
  ['report', 'INTERNAL', ['UNKNOWN_SERVER_ERROR']],
])('a client told to %s with %s', (action, status, examples) => {
  for (const name of examples) expect(ERRORS[name]).toMatchObject({ action, status });
});

test('whether to retry follows from what to do, save for a failed disk', () => {
  const retried: ClientAction[] = [
    'refresh-metadata',
    'retry-elsewhere',
    'back-off',
    'retry-if-idempotent',
    'slow-down',
  ];
  for (const name of names) {
    const { action, retriable } = ERRORS[name];
    if (name !== 'KAFKA_STORAGE_ERROR') expect([name, retriable]).toEqual([name, retried.includes(action)]);
  }
});

test('an error carries its row of the table, and survives the wire', () => {
  const error = new BarnabasError('OFFSET_OUT_OF_RANGE', 'offset 9 is above the log end offset 5: seek', { offset: 9 });
  expect(error).toMatchObject({ errorName: 'OFFSET_OUT_OF_RANGE', code: 1, retriable: false, action: 'reset-offset' });
  const received = errorFromProto(errorToProto(error));
  expect(received).toMatchObject({ errorName: 'OFFSET_OUT_OF_RANGE', message: error.message });
});

test.each<ErrorName>(['NOT_LEADER_OR_FOLLOWER', 'NOT_COORDINATOR'])('%s says whom to ask instead', (name) => {
  const error = new BarnabasError(name, 'broker 2 does', { leader: 2, leaderEpoch: 7 });
  expect(errorToProto(error).currentLeader).toEqual({ leaderId: 2, leaderEpoch: 7 });
  expect(errorFromProto(errorToProto(error)).facts).toEqual({ leader: 2, leaderEpoch: 7 });
  expect(errorToProto(new BarnabasError(name, 'nobody', { leader: -1, leaderEpoch: 7 })).currentLeader).toBeUndefined();
});

test('a code of a later version, or a missing text, is not lost', () => {
  expect(errorFromProto({ code: 9999, message: '' })).toMatchObject({
    errorName: 'UNKNOWN_SERVER_ERROR',
    facts: { code: 9999 },
  });
  expect(errorFromProto({ code: 1, message: '' }).message).toBe(ERRORS.OFFSET_OUT_OF_RANGE.meaning);
});

test('anything caught becomes a BarnabasError with its cause', () => {
  const error = new BarnabasError('INVALID_REQUEST', 'x');
  expect(toBarnabasError(error)).toBe(error);
  const cause = new TypeError('y');
  expect(toBarnabasError(cause)).toMatchObject({ errorName: 'UNKNOWN_SERVER_ERROR', message: 'y', cause });
  expect(toBarnabasError('z')).toMatchObject({ errorName: 'UNKNOWN_SERVER_ERROR', message: 'z' });
});

test('only names of the table are names', () => {
  expect(isErrorName('CORRUPT_MESSAGE')).toBe(true);
  expect(isErrorName('toString')).toBe(false);
  expect(isErrorName('NONE')).toBe(false);
});
