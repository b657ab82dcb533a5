import { BarnabasError, ERRORS } from '@barnabas/protocol';
import type { ErrorName } from '@barnabas/protocol';
import { Metadata, status as Status } from '@grpc/grpc-js';
import fc from 'fast-check';
import { ERROR_CODE_TRAILER, fromWireStatus, toWireStatus } from './wire-status.js';

const DETAILS = 'grpc-status-details-bin';

describe('errors as statuses', () => {
  test.each(Object.keys(ERRORS) as ErrorName[])('%s survives the way there and back', (name) => {
    const status = toWireStatus(new BarnabasError(name, 'why'));
    expect(Status[status.code]).toBe(ERRORS[name].status);
    expect(status.metadata.get(ERROR_CODE_TRAILER)).toEqual([name]);
    const back = fromWireStatus(status);
    expect(back.errorName).toBe(name);
    expect(back.message).toBe('why');
  });

  test('any text gives headers that can be sent, of bounded length', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 3_000 }), (message) => {
        const status = toWireStatus(new BarnabasError('INVALID_REQUEST', message));
        expect(() => encodeURI(status.details)).not.toThrow();
        expect(status.details.length).toBeLessThanOrEqual(1_025);
        const [details] = status.metadata.get(DETAILS);
        expect(details).toBeInstanceOf(Buffer);
      }),
    );
    const lone = toWireStatus(new BarnabasError('INVALID_REQUEST', `\ud800${'x'.repeat(5_000)}`));
    expect(() => encodeURI(lone.details)).not.toThrow();
  });

  test.each<[Status, string, ErrorName]>([
    [Status.CANCELLED, '', 'NETWORK_EXCEPTION'],
    [Status.UNKNOWN, '', 'UNKNOWN_SERVER_ERROR'],
    [Status.INVALID_ARGUMENT, '', 'INVALID_REQUEST'],
    [Status.DEADLINE_EXCEEDED, '', 'REQUEST_TIMED_OUT'],
    [Status.NOT_FOUND, '', 'RESOURCE_NOT_FOUND'],
    [Status.ALREADY_EXISTS, '', 'DUPLICATE_RESOURCE'],
    [Status.PERMISSION_DENIED, '', 'CLUSTER_AUTHORIZATION_FAILED'],
    [Status.RESOURCE_EXHAUSTED, 'Received message larger than max (5 vs 4)', 'MESSAGE_TOO_LARGE'],
    [Status.RESOURCE_EXHAUSTED, 'slow down', 'THROTTLING_QUOTA_EXCEEDED'],
    [Status.FAILED_PRECONDITION, '', 'INVALID_REQUEST'],
    [Status.ABORTED, '', 'NETWORK_EXCEPTION'],
    [Status.OUT_OF_RANGE, '', 'INVALID_REQUEST'],
    [Status.UNIMPLEMENTED, '', 'UNSUPPORTED_VERSION'],
    [Status.INTERNAL, 'oops', 'UNKNOWN_SERVER_ERROR'],
    [Status.INTERNAL, 'Received RST_STREAM with code 2', 'NETWORK_EXCEPTION'],
    [Status.UNAVAILABLE, '', 'NETWORK_EXCEPTION'],
    [Status.DATA_LOSS, '', 'KAFKA_STORAGE_ERROR'],
    [Status.UNAUTHENTICATED, '', 'SASL_AUTHENTICATION_FAILED'],
    [99 as Status, 'from the future', 'UNKNOWN_SERVER_ERROR'],
  ])('a status %s without details (%s) means %s', (code, details, name) => {
    expect(fromWireStatus({ code, details, metadata: new Metadata() }).errorName).toBe(name);
  });

  test('the trailer alone is enough when a proxy dropped the details', () => {
    const metadata = new Metadata();
    metadata.set(ERROR_CODE_TRAILER, 'NOT_CONTROLLER');
    const error = fromWireStatus({ code: Status.ABORTED, details: 'ask another', metadata });
    expect([error.errorName, error.message]).toEqual(['NOT_CONTROLLER', 'ask another']);
  });

  test('details that are malformed or somebody else’s fall back to the status', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        const metadata = new Metadata();
        metadata.set(DETAILS, Buffer.from(bytes));
        expect(fromWireStatus({ code: Status.UNAVAILABLE, details: '', metadata })).toBeInstanceOf(BarnabasError);
      }),
    );
    const good = toWireStatus(new BarnabasError('NOT_CONTROLLER', 'x')).metadata.get(DETAILS)[0] as Buffer;
    fc.assert(
      fc.property(fc.nat(good.length - 1), fc.nat(255), (at, value) => {
        const damaged = Buffer.from(good);
        damaged[at] = value;
        const metadata = new Metadata();
        metadata.set(DETAILS, damaged);
        expect(fromWireStatus({ code: Status.ABORTED, details: '', metadata })).toBeInstanceOf(BarnabasError);
      }),
    );
  });
});
