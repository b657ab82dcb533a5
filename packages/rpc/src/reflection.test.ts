import { Client, credentials, loadPackageDefinition } from '@grpc/grpc-js';
import type { ClientDuplexStream } from '@grpc/grpc-js';
import { load } from '@grpc/proto-loader';
import { v1 } from '@barnabas/protocol';
import { dirname, join } from 'node:path';
import { FileDescriptorProto } from 'protobufjs/ext/descriptor/index.js';
import type { IFileDescriptorProto } from 'protobufjs/ext/descriptor/index.js';
import { serve } from './grpc/server.js';
import { service } from './role.js';
import type { Handlers, RunningServer } from './types.js';

const library = join(dirname(require.resolve('@grpc/reflection')), '..', 'proto');
const fileName = (bytes: Buffer) => (FileDescriptorProto.decode(bytes) as IFileDescriptorProto).name;
const unused = async () => {
  throw new Error('not called');
};

interface ReflectionResponse {
  messageResponse: string;
  listServicesResponse?: { service: { name: string }[] };
  fileDescriptorResponse?: { fileDescriptorProto: Buffer[] };
  errorResponse?: { errorCode: number };
}

describe.each(['v1', 'v1alpha'])('reflection %s', (version) => {
  let server: RunningServer;
  let client: Client;
  let stream: ClientDuplexStream<object, ReflectionResponse>;

  beforeAll(async () => {
    const metadata: Handlers<v1.MetadataServiceDefinition> = {
      getMetadata: unused,
      describeCluster: unused,
      watchMetadata: (_request, answers) => answers.handle({ onMessage() {}, onClose() {} }),
    };
    server = await serve({
      listen: { host: '127.0.0.1', port: 0 },
      services: [service(v1.MetadataServiceDefinition, metadata)],
    });
    const schema = await load(`grpc/reflection/${version}/reflection.proto`, { includeDirs: [library], oneofs: true });
    const name = `grpc.reflection.${version}.ServerReflection`;
    const definition = schema[name] as unknown as Record<
      string,
      {
        path: string;
        requestSerialize: (value: object) => Buffer;
        responseDeserialize: (bytes: Buffer) => ReflectionResponse;
      }
    >;
    expect(loadPackageDefinition(schema)).toBeDefined();
    const method = definition['ServerReflectionInfo'];
    if (method === undefined) throw new Error('the library has lost its method');
    client = new Client(`127.0.0.1:${server.port}`, credentials.createInsecure());
    stream = client.makeBidiStreamRequest(method.path, method.requestSerialize, method.responseDeserialize);
    stream.on('error', () => {});
  });
  afterAll(async () => {
    stream.cancel();
    client.close();
    await server.stop(0);
  });

  const ask = (request: object): Promise<ReflectionResponse> =>
    new Promise((resolve) => {
      stream.once('data', resolve);
      stream.write(request);
    });

  test('lists what this server serves, itself included, and nothing else', async () => {
    const answer = await ask({ listServices: '*' });
    expect(answer.listServicesResponse?.service.map(({ name }) => name).sort()).toEqual([
      'barnabas.v1.MetadataService',
      'grpc.health.v1.Health',
      'grpc.reflection.v1.ServerReflection',
      'grpc.reflection.v1alpha.ServerReflection',
    ]);
  });

  test('describes a service with everything it refers to', async () => {
    const answer = await ask({ fileContainingSymbol: 'barnabas.v1.MetadataService' });
    const files = answer.fileDescriptorResponse?.fileDescriptorProto ?? [];
    expect(files.some((file) => file.includes('WatchMetadata'))).toBe(true);
    expect(files.some((file) => file.includes('ErrorCode'))).toBe(true);
  });

  test('finds a file by its name, and what it imports once each', async () => {
    const answer = await ask({ fileByFilename: 'barnabas/v1/metadata_service.proto' });
    const names = (answer.fileDescriptorResponse?.fileDescriptorProto ?? []).map(fileName);
    expect(names).toEqual(['barnabas/v1/metadata_service.proto', 'barnabas/v1/error.proto']);
  });

  test('finds what belongs to a message or a service', async () => {
    for (const symbol of [
      'barnabas.v1.LogService.Produce',
      'barnabas.v1.ProduceEntry.partition',
      'barnabas.v1.ACKS_ALL',
      'grpc.health.v1.HealthCheckResponse.ServingStatus',
    ]) {
      const answer = await ask({ fileContainingSymbol: symbol });
      expect([symbol, answer.fileDescriptorResponse?.fileDescriptorProto.length]).not.toEqual([symbol, undefined]);
    }
  });

  // What protobufjs makes of these two is refused by Go, or wrong.
  test('names map entries and marks optional fields as the compiler does', async () => {
    const answer = await ask({ fileContainingSymbol: 'barnabas.v1.NewTopic' });
    const [bytes] = answer.fileDescriptorResponse?.fileDescriptorProto ?? [];
    const file = FileDescriptorProto.decode(bytes ?? Buffer.alloc(0)) as IFileDescriptorProto;
    const message = file.messageType?.find(({ name }) => name === 'NewTopic');
    expect(message?.nestedType?.map(({ name }) => name)).toEqual(['ConfigsEntry']);
    const partitions = message?.field?.find(({ name }) => name === 'partitions');
    // proto3_optional, field 17, is known by its synthetic oneof.
    expect(message?.oneofDecl?.[partitions?.oneofIndex ?? -1]?.name).toBe('_partitions');
  });

  test('answers in turn, and says so when it knows nothing', async () => {
    expect((await ask({ fileContainingSymbol: 'no.such.Thing' })).errorResponse?.errorCode).toBe(5);
    expect((await ask({ listServices: '*' })).listServicesResponse).toBeTruthy();
  });
});

test('starting a server loads neither the schema nor its loaders', async () => {
  jest.resetModules();
  const { serve: serveAnew } = await import('./grpc/server.js');
  const server = await serveAnew({ listen: { host: '127.0.0.1', port: 0 }, services: [] });
  const loaded = Object.keys(require.cache).filter((path) =>
    /proto-loader|@grpc\/reflection|protobufjs\/ext|gen\/descriptors/.test(path),
  );
  await server.stop(0);
  expect(loaded).toEqual([]);
});
