/**
 * grpc.reflection, v1 and v1alpha, by @grpc/reflection over the .proto files of this repository, so
 * that grpcurl and its like work without them. Nothing is loaded until the first reflection call: the
 * loaders and the parsed schema would cost every start more than 50 ms and 10 MB.
 */
import { assert } from '@barnabas/common';
import { BarnabasError, toBarnabasError } from '@barnabas/protocol';
import { existsSync, readdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { ServiceDefinition as GrpcServiceDefinition, Server } from '@grpc/grpc-js';
import { service } from './role.js';
import type { ServiceRegistration } from './role.js';
import type { MessageStream, MessageType } from './types.js';

/** Reflection messages pass through as bytes: the library has their schema. */
const Bytes: MessageType<Uint8Array> = { encode: (bytes) => ({ finish: () => bytes }), decode: (bytes) => bytes };

function definition(version: 'v1' | 'v1alpha') {
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

/** Answers one request; both as bytes. */
type Answer = (request: Uint8Array) => Uint8Array;

/** Registrations for both versions; they list `services` and themselves. */
export function reflectionServices(services: readonly string[]): ServiceRegistration[] {
  const versions = ['v1', 'v1alpha'] as const;
  const listed = [...services, ...versions.map((version) => definition(version).fullName)];
  let loading: Promise<ReadonlyMap<string, Answer>> | undefined;
  return versions.map((version) => {
    const served = definition(version);
    return service(served, {
      serverReflectionInfo: (stream) => {
        answerInTurn(stream, async () => {
          loading ??= load(listed);
          const answer = (await loading).get(served.fullName);
          assert(answer !== undefined, 'the library serves both versions', { service: served.fullName });
          return answer;
        });
      },
    });
  });
}

function answerInTurn(stream: MessageStream<Uint8Array, Uint8Array>, ready: () => Promise<Answer>): void {
  let turn: Promise<void> = Promise.resolve();
  const then = (step: () => Promise<void> | void) => {
    turn = turn.then(step).catch((error: unknown) => {
      stream.end(toBarnabasError(error));
    });
  };
  stream.handle({
    onMessage: (request) =>
      then(async () => {
        stream.write((await ready())(request));
      }),
    onEnd: () => then(() => stream.end()),
    onClose() {},
  });
}

async function load(services: readonly string[]): Promise<ReadonlyMap<string, Answer>> {
  const [{ ReflectionService }, protoLoader] = await Promise.all([
    import('@grpc/reflection'),
    import('@grpc/proto-loader'),
  ]);
  const root = protoRoot();
  const thirdParty = [
    join(packageRoot('grpc-health-check'), 'proto'),
    join(packageRoot('@grpc/reflection'), 'build', 'proto'),
  ];
  const files = [
    ...protoFiles(root, 'barnabas'),
    'health/v1/health.proto',
    'grpc/reflection/v1/reflection.proto',
    'grpc/reflection/v1alpha/reflection.proto',
  ];
  const schema = await protoLoader.load(files, { includeDirs: [root, ...thirdParty] });
  const answers = new Map<string, Answer>();
  // All that the library asks of a server is where to put its handlers.
  const taker = {
    addService(grpcDefinition: GrpcServiceDefinition, handlers: Record<string, (call: unknown) => void>) {
      const method = Object.values(grpcDefinition)[0];
      const handler = Object.values(handlers)[0];
      assert(method !== undefined && handler !== undefined, 'the library serves one method');
      answers.set(method.path.split('/')[1] ?? '', (request) => {
        let answer: unknown;
        let take: (message: unknown) => void = () => {};
        handler({
          on: (event: string, listener: (message: unknown) => void) => {
            if (event === 'data') take = listener;
          },
          write: (message: unknown) => {
            answer = message;
          },
        });
        take(method.requestDeserialize(Buffer.from(request)));
        return method.responseSerialize(answer);
      });
    },
  };
  new ReflectionService(schema, { services: [...services] }).addToServer(taker as unknown as Server);
  return answers;
}

/** proto/ lies in the package when it is packaged, and at the top of a clone. */
function protoRoot(): string {
  for (let folder = __dirname; folder !== dirname(folder); folder = dirname(folder)) {
    const candidate = join(folder, 'proto');
    if (existsSync(join(candidate, 'barnabas', 'v1'))) return candidate;
  }
  throw new BarnabasError('UNKNOWN_SERVER_ERROR', 'the folder proto/ is missing from this installation', {
    searchedFrom: __dirname,
  });
}

function packageRoot(name: string): string {
  let folder = dirname(require.resolve(name));
  while (!existsSync(join(folder, 'package.json'))) folder = dirname(folder);
  return folder;
}

function protoFiles(root: string, folder: string): string[] {
  return readdirSync(join(root, folder), { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) return protoFiles(root, path);
    return entry.name.endsWith('.proto') ? [path] : [];
  });
}
