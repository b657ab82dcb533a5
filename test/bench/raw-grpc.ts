/**
 * Plain grpc-js with nothing of Barnabas around it: one service with two bidirectional methods whose
 * messages are Buffers as they are.
 */
import * as grpc from '@grpc/grpc-js';
import type { Http2Server } from 'node:http2';

const identity = (bytes: Buffer) => bytes;

const method = (path: string) => ({
  path,
  requestStream: true,
  responseStream: true,
  requestSerialize: identity,
  requestDeserialize: identity,
  responseSerialize: identity,
  responseDeserialize: identity,
});

const service = { Upload: method('/raw.Raw/Upload'), Echo: method('/raw.Raw/Echo') };
const WINDOW = 8 * 1024 * 1024;
const PLAIN: grpc.ChannelOptions = { 'grpc.max_receive_message_length': -1 };
const WIDE: grpc.ChannelOptions = { ...PLAIN, 'grpc-node.flow_control_window': WINDOW };

/** `wide`: flow-control windows widened on both sides, as ours are; otherwise as grpc-js comes. */
export function rawServer(wide: boolean): Promise<{ port: number; stop(): void }> {
  const server = new grpc.Server(wide ? WIDE : PLAIN);
  if (wide) widen(server);

  const acknowledgement = Buffer.from('ok');
  server.addService(service as grpc.ServiceDefinition, {
    Upload: (call: grpc.ServerDuplexStream<Buffer, Buffer>) => {
      call.on('data', () => call.write(acknowledgement));
      call.on('end', () => call.end());
    },
    Echo: (call: grpc.ServerDuplexStream<Buffer, Buffer>) => {
      call.on('data', (bytes: Buffer) => call.write(bytes));
      call.on('end', () => call.end());
    },
  });
  return new Promise((resolve, reject) => {
    server.bindAsync('127.0.0.1:0', grpc.ServerCredentials.createInsecure(), (error, port) => {
      if (error !== null) reject(error);
      else resolve({ port, stop: () => server.forceShutdown() });
    });
  });
}

/** Messages on their way at once: enough to keep both sides busy, and no more than the windows hold. */
const IN_FLIGHT = 64;

/** Sends `messages` messages of `size` bytes and waits until each has been answered. */
export function rawClient(
  port: number,
  name: 'Upload' | 'Echo',
  wide: boolean,
  size: number,
  messages: number,
): Promise<void> {
  const Client = grpc.makeGenericClientConstructor(service as grpc.ServiceDefinition, 'Raw');
  const client = new Client(`127.0.0.1:${port}`, grpc.credentials.createInsecure(), wide ? WIDE : PLAIN);
  const stream = client.makeBidiStreamRequest(service[name].path, identity, identity);
  const message = Buffer.alloc(size, 7);
  return new Promise((resolve, reject) => {
    let sent = 0;
    let answered = 0;
    const send = () => {
      for (; sent < messages && sent - answered < IN_FLIGHT; sent++) stream.write(message);
    };
    stream.on('data', () => {
      answered++;
      if (answered === messages) stream.end();
      else send();
    });
    stream.on('error', reject);
    stream.on('end', () => {
      client.close();
      resolve();
    });
    send();
  });
}

/** The option for a client's window has no counterpart for servers. */
function widen(server: grpc.Server): void {
  const insides = server as unknown as {
    commonServerOptions: { settings?: object };
    createHttp2Server(credentials: grpc.ServerCredentials): Http2Server;
  };
  insides.commonServerOptions = {
    ...insides.commonServerOptions,
    settings: { ...insides.commonServerOptions.settings, initialWindowSize: WINDOW },
  };
  const create = insides.createHttp2Server.bind(server);
  insides.createHttp2Server = (credentials) =>
    create(credentials).on('session', (session) => session.setLocalWindowSize(WINDOW));
}
