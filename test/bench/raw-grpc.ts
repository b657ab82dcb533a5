/**
 * Plain grpc-js with nothing of Barnabas around it: one service with two bidirectional methods whose
 * messages are Buffers as they are. The windows are widened on both sides, as ours are: the ceiling
 * is what grpc-js can do, not what its defaults do.
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
const OPTIONS: grpc.ChannelOptions = {
  'grpc.max_receive_message_length': -1,
  'grpc-node.flow_control_window': WINDOW,
};

export function rawServer(): Promise<{ port: number; stop(): void }> {
  const server = new grpc.Server(OPTIONS);
  // The option above is the client's; a server's window has no public option.
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

  const acknowledgement = Buffer.from('ok');
  server.addService(service as grpc.ServiceDefinition, {
    Upload: (call: grpc.ServerDuplexStream<Buffer, Buffer>) => {
      call.on('data', () => call.write(acknowledgement));
      call.on('end', () => call.end());
    },
    Echo: (call: grpc.ServerDuplexStream<Buffer, Buffer>) => {
      call.on('data', (bytes: Buffer) => {
        if (!call.write(bytes)) {
          call.pause();
          call.once('drain', () => call.resume());
        }
      });
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

/** Sends `messages` messages of `size` bytes and waits until each has been answered. */
export function rawClient(port: number, name: 'Upload' | 'Echo', size: number, messages: number): Promise<void> {
  const Client = grpc.makeGenericClientConstructor(service as grpc.ServiceDefinition, 'Raw');
  const client = new Client(`127.0.0.1:${port}`, grpc.credentials.createInsecure(), OPTIONS);
  const stream = client.makeBidiStreamRequest(service[name].path, identity, identity);
  const message = Buffer.alloc(size, 7);
  return new Promise((resolve, reject) => {
    let sent = 0;
    let answered = 0;
    const send = () => {
      while (sent < messages) {
        sent++;
        if (!stream.write(message)) {
          stream.once('drain', send);
          return;
        }
      }
    };
    stream.on('data', () => {
      answered++;
      if (answered === messages) stream.end();
    });
    stream.on('error', reject);
    stream.on('end', () => {
      client.close();
      resolve();
    });
    send();
  });
}
