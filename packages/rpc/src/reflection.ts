/**
 * grpc.reflection, v1 and v1alpha, so that grpcurl and its like work without .proto files. Nothing is
 * loaded until the first reflection call: the schema and its loader would cost every start more than
 * 50 ms and 10 MB.
 *
 * Not by @grpc/reflection: it takes descriptors that protobufjs has made again from a parsed schema,
 * and those have map entries that Go refuses and optional fields that are not. Ours are the compiler's
 * own bytes (gen/descriptors.ts).
 */
import { assert } from '@barnabas/common';
import { toBarnabasError } from '@barnabas/protocol';
import { status as Status } from '@grpc/grpc-js';
import type { MethodDefinition as LoadedMethod } from '@grpc/proto-loader';
import type { DescriptorIndex } from './descriptor-index.js';
import { service } from './role.js';
import type { ServiceRegistration } from './role.js';
import type { MessageStream, MessageType } from './types.js';

const VERSIONS = ['v1', 'v1alpha'] as const;

/** Reflection messages pass through as bytes: their schema is among the descriptors, and loaded with them. */
const Bytes: MessageType<Uint8Array> = { encode: (bytes) => ({ finish: () => bytes }), decode: (bytes) => bytes };

function definition(version: (typeof VERSIONS)[number]) {
  return {
    name: 'ServerReflection',
    fullName: `grpc.reflection.${version}.ServerReflection`,
    methods: {
      serverReflectionInfo: {
        name: 'ServerReflectionInfo',
        requestType: Bytes,
        requestStream: true,
        responseType: Bytes,
        responseStream: true,
      },
    },
  } as const;
}

/** What of a request is read, under the names of reflection.proto. */
interface ReflectionRequest {
  readonly host: string;
  /** Which of the fields below is set. */
  readonly message_request?: string;
  readonly file_by_filename?: string;
  readonly file_containing_symbol?: string;
  readonly file_containing_extension?: { readonly containing_type: string; readonly extension_number: number };
  readonly all_extension_numbers_of_type?: string;
}

interface Loaded {
  readonly index: DescriptorIndex;
  readonly methods: ReadonlyMap<string, LoadedMethod<object, object>>;
}

/** Registrations for both versions; they list `services` and themselves. */
export function reflectionServices(services: readonly string[]): ServiceRegistration[] {
  const listed = [...services, ...VERSIONS.map((version) => definition(version).fullName)].sort();
  let loading: Promise<Loaded> | undefined;
  return VERSIONS.map((version) => {
    const served = definition(version);
    return service(served, {
      serverReflectionInfo: (stream) =>
        answerInTurn(stream, async (bytes) => {
          loading ??= load();
          const { index, methods } = await loading;
          const method = methods.get(served.fullName);
          assert(method !== undefined, 'the descriptors hold both versions', { service: served.fullName });
          const request = method.requestDeserialize(Buffer.from(bytes)) as ReflectionRequest;
          const answer = { valid_host: request.host, original_request: request, ...respond(request, index, listed) };
          return method.responseSerialize(answer);
        }),
    });
  });
}

function answerInTurn(
  stream: MessageStream<Uint8Array, Uint8Array>,
  answer: (request: Uint8Array) => Promise<Uint8Array>,
): void {
  let turn: Promise<void> = Promise.resolve();
  const then = (step: () => Promise<void> | void) => {
    turn = turn.then(step).catch((error: unknown) => stream.end(toBarnabasError(error)));
  };
  stream.handle({
    onMessage: (request) =>
      then(async () => {
        stream.write(await answer(request));
      }),
    onEnd: () => then(() => stream.end()),
    onClose() {},
  });
}

function respond(request: ReflectionRequest, index: DescriptorIndex, services: readonly string[]): object {
  switch (request.message_request) {
    case 'list_services':
      return { list_services_response: { service: services.map((name) => ({ name })) } };
    case 'file_by_filename':
      return filesOrNot(index.withDependencies(request.file_by_filename ?? ''), request);
    case 'file_containing_symbol':
      return filesOrNot(index.withDependencies(index.fileOf(request.file_containing_symbol ?? '')), request);
    case 'all_extension_numbers_of_type': {
      const type = request.all_extension_numbers_of_type ?? '';
      if (index.fileOf(type) === undefined) return notFound(type);
      return { all_extension_numbers_response: { base_type_name: type, extension_number: [] } };
    }
    // Nothing that is served has extensions.
    case 'file_containing_extension':
      return notFound(`an extension of ${request.file_containing_extension?.containing_type ?? ''}`);
    default:
      return { error_response: { error_code: Status.INVALID_ARGUMENT, error_message: 'the request asks for nothing' } };
  }
}

function filesOrNot(files: readonly Uint8Array[] | undefined, request: ReflectionRequest): object {
  if (files !== undefined) return { file_descriptor_response: { file_descriptor_proto: files } };
  return notFound(request.file_by_filename || request.file_containing_symbol || '');
}

function notFound(what: string): object {
  return { error_response: { error_code: Status.NOT_FOUND, error_message: `not found: ${what}` } };
}

async function load(): Promise<Loaded> {
  const [{ FILE_DESCRIPTOR_SET }, { indexDescriptors }, protoLoader] = await Promise.all([
    import('./gen/descriptors.js'),
    import('./descriptor-index.js'),
    import('@grpc/proto-loader'),
  ]);
  const bytes = Buffer.from(FILE_DESCRIPTOR_SET, 'base64');
  const schema = protoLoader.loadFileDescriptorSetFromBuffer(bytes, { oneofs: true });
  const methods = VERSIONS.map((version) => {
    const { fullName } = definition(version);
    const { ServerReflectionInfo } = schema[fullName] as Record<string, LoadedMethod<object, object>>;
    assert(ServerReflectionInfo !== undefined, 'the descriptors hold both versions', { service: fullName });
    return [fullName, ServerReflectionInfo] as const;
  });
  return { index: indexDescriptors(bytes), methods: new Map(methods) };
}
