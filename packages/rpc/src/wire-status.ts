/**
 * Errors on the wire: a BarnabasError as the gRPC status of a failed call, and every gRPC status as a
 * BarnabasError. Written down for client authors in docs/protocols/wire.md.
 *
 * A status made by Barnabas carries `grpc-status-details-bin` (google.rpc.Status with one
 * barnabas.v1.Error) and the error's name in `barnabas-error-code`. A status without them comes from
 * grpc-js, a proxy or the network, and is mapped by its code.
 */
import { BarnabasError, ERRORS, errorFromProto, errorToProto, isErrorName, v1 } from '@barnabas/protocol';
import type { ErrorName } from '@barnabas/protocol';
import { Metadata, status as Status } from '@grpc/grpc-js';
import { Reader, Writer } from 'protobufjs/minimal.js';

export interface WireStatus {
  readonly code: Status;
  readonly details: string;
  readonly metadata: Metadata;
}

export const ERROR_CODE_TRAILER = 'barnabas-error-code';
const DETAILS_TRAILER = 'grpc-status-details-bin';
const TYPE_URL = 'type.googleapis.com/barnabas.v1.Error';

/** The text goes into headers twice, and a client may refuse more than 8 KiB of them. */
const MAX_TEXT = 1_024;

export function toWireStatus(error: BarnabasError): WireStatus {
  const text = headerText(error.message);
  const code = Status[error.status];
  const metadata = new Metadata();
  metadata.set(ERROR_CODE_TRAILER, error.errorName);
  metadata.set(DETAILS_TRAILER, encodeDetails(code, { ...errorToProto(error), message: text }));
  return { code, details: text, metadata };
}

export function fromWireStatus(status: { code: Status; details: string; metadata?: Metadata }): BarnabasError {
  const details = status.metadata?.get(DETAILS_TRAILER)[0];
  if (Buffer.isBuffer(details)) {
    const error = decodeDetails(details);
    if (error !== undefined && error.code !== 0) return errorFromProto(error);
  }
  const name = status.metadata?.get(ERROR_CODE_TRAILER)[0];
  if (typeof name === 'string' && isErrorName(name)) return new BarnabasError(name, status.details);
  const mapped = nameOfStatus(status.code, status.details);
  return new BarnabasError(mapped, status.details || ERRORS[mapped].meaning, {
    status: Status[status.code] ?? status.code,
  });
}

/** What a status that Barnabas did not make means. */
function nameOfStatus(code: Status, details: string): ErrorName {
  switch (code) {
    case Status.INVALID_ARGUMENT:
    case Status.FAILED_PRECONDITION:
    case Status.OUT_OF_RANGE:
      return 'INVALID_REQUEST';
    case Status.DEADLINE_EXCEEDED:
      return 'REQUEST_TIMED_OUT';
    case Status.NOT_FOUND:
      return 'RESOURCE_NOT_FOUND';
    case Status.ALREADY_EXISTS:
      return 'DUPLICATE_RESOURCE';
    case Status.PERMISSION_DENIED:
      return 'CLUSTER_AUTHORIZATION_FAILED';
    case Status.UNAUTHENTICATED:
      return 'SASL_AUTHENTICATION_FAILED';
    case Status.RESOURCE_EXHAUSTED:
      // gRPC has no status of its own for a message above the receiver's limit; all implementations say "larger than".
      return /larger than/i.test(details) ? 'MESSAGE_TOO_LARGE' : 'THROTTLING_QUOTA_EXCEEDED';
    case Status.UNIMPLEMENTED:
      return 'UNSUPPORTED_VERSION';
    case Status.UNAVAILABLE:
    case Status.CANCELLED:
    case Status.ABORTED:
      return 'NETWORK_EXCEPTION';
    case Status.DATA_LOSS:
      return 'KAFKA_STORAGE_ERROR';
    case Status.INTERNAL:
      // Made up by the transport when a stream ends without a status: nobody answered.
      return details.startsWith('Received RST_STREAM') ? 'NETWORK_EXCEPTION' : 'UNKNOWN_SERVER_ERROR';
    case Status.OK:
    case Status.UNKNOWN:
      return 'UNKNOWN_SERVER_ERROR';
    default:
      return 'UNKNOWN_SERVER_ERROR';
  }
}

/** Well-formed and short: a lone surrogate would make grpc-js throw while it writes the trailers. */
function headerText(text: string): string {
  const wellFormed = Buffer.from(text.slice(0, MAX_TEXT), 'utf8').toString('utf8');
  return text.length > MAX_TEXT ? `${wellFormed}…` : wellFormed;
}

/** google.rpc.Status { int32 code = 1; string message = 2; repeated Any details = 3 }; Any { string type_url = 1; bytes value = 2 }. */
function encodeDetails(code: number, error: v1.Error): Buffer {
  const writer = Writer.create().uint32(8).int32(code).uint32(18).string(error.message);
  writer.uint32(26).fork().uint32(10).string(TYPE_URL).uint32(18).bytes(v1.Error.encode(error).finish()).ldelim();
  return Buffer.from(writer.finish());
}

/** The first barnabas.v1.Error in a google.rpc.Status; undefined if there is none or the bytes are malformed. */
function decodeDetails(bytes: Buffer): v1.Error | undefined {
  try {
    const reader = Reader.create(bytes);
    while (reader.pos < reader.len) {
      const tag = reader.uint32();
      if (tag !== 26) {
        reader.skipType(tag & 7);
        continue;
      }
      const error = decodeAny(reader, reader.uint32() + reader.pos);
      if (error !== undefined) return error;
    }
  } catch {
    // Somebody else's details, or damaged ones: the status code still says enough.
  }
  return undefined;
}

function decodeAny(reader: Reader, end: number): v1.Error | undefined {
  let typeUrl = '';
  let value: Uint8Array | undefined;
  while (reader.pos < end) {
    const tag = reader.uint32();
    if (tag === 10) typeUrl = reader.string();
    else if (tag === 18) value = reader.bytes();
    else reader.skipType(tag & 7);
  }
  return typeUrl === TYPE_URL && value !== undefined ? v1.Error.decode(value) : undefined;
}
