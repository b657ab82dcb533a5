import { Client, credentials, loadPackageDefinition } from '@grpc/grpc-js';
import type { ClientDuplexStream } from '@grpc/grpc-js';
import { load } from '@grpc/proto-loader';
import { v1 } from '@barnabas/protocol';
import { dirname, join } from 'node:path';
import { serve } from './grpc/server.js';
import { service } from './role.js';
import type { Handlers, RunningServer } from './types.js';

const library = join(dirname(require.resolve('@grpc/reflection')), '..', 'proto');
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
    /proto-loader|@grpc\/reflection|protobufjs\/src\/parse/.test(path),
  );
  await server.stop(0);
  expect(loaded).toEqual([]);
});
