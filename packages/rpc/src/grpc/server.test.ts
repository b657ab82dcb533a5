import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client, Server, credentials } from '@grpc/grpc-js';
import type { ServerTls } from './server.js';
import { createConnector } from '../connector.js';
import { HealthDefinition } from '../health.js';
import { service } from '../role.js';
import { Ear, record, TestDefinition, text } from '../test-kit/index.js';
import type { TestHandlers } from '../test-kit/index.js';
import type { Connector, RunningServer } from '../types.js';
import { serve } from './server.js';

const handlers: TestHandlers = {
  ask: async (request) => request,
  list: (_request, stream) => stream.handle({ onMessage() {}, onClose() {} }),
  chat: (stream) => stream.handle({ onMessage() {}, onClose() {} }),
};
const services = [service(TestDefinition, handlers)];
const listen = { host: '127.0.0.1', port: 0 };

describe('a server', () => {
  let server: RunningServer | undefined;
  let connector: Connector;

  beforeEach(() => {
    connector = createConnector();
  });
  afterEach(async () => {
    connector.close();
    await server?.stop(0);
    server = undefined;
  });

  test('says which address it cannot have', async () => {
    server = await serve({ listen, services });
    const again = serve({ listen: { host: '127.0.0.1', port: server.port }, services });
    await expect(again).rejects.toMatchObject({
      errorName: 'INVALID_CONFIG',
      message: expect.stringContaining('EADDRINUSE'),
    });
  });

  test('reports health for itself and for each service: checked, watched, listed', async () => {
    server = await serve({ listen, services });
    const health = connector.channel(`127.0.0.1:${server.port}`).client(HealthDefinition);
    const name = TestDefinition.fullName;
    expect(await health.check({ service: '' })).toEqual({ status: 2 });
    const watch = new Ear(health.watch({ service: name }));
    const unknown = new Ear(health.watch({ service: 'nobody' }));
    await watch.until(() => watch.messages.length === 1);
    server.setServing(name, true);
    server.setServing('', true);
    expect(await health.check({ service: '' })).toEqual({ status: 1 });
    expect(await health.check({ service: name })).toEqual({ status: 1 });
    await expect(health.check({ service: 'nobody' })).rejects.toMatchObject({ errorName: 'RESOURCE_NOT_FOUND' });
    await watch.until(() => watch.messages.length === 2);
    await unknown.until(() => unknown.messages.length === 1);
    expect(unknown.messages).toEqual([{ status: 3 }]);
    const stopped = server.stop(1_000);
    expect(await watch.closed).toBeUndefined();
    await stopped;
    expect(watch.messages.map(({ status }) => status)).toEqual([2, 1, 2]);
  });

  test('lists health as a generated client reads it', async () => {
    server = await serve({ listen, services });
    server.setServing('', true);
    const { service: generated } = await import('grpc-health-check');
    const client = new Client(`127.0.0.1:${server.port}`, credentials.createInsecure());
    const method = generated['List'];
    if (method === undefined) throw new Error('the library has lost Health.List');
    const answer = await new Promise((resolve, reject) =>
      client.makeUnaryRequest(method.path, method.requestSerialize, method.responseDeserialize, {}, (error, value) =>
        error === null ? resolve(value) : reject(error),
      ),
    );
    client.close();
    expect(answer).toEqual({
      statuses: { '': { status: 'SERVING' }, [TestDefinition.fullName]: { status: 'NOT_SERVING' } },
    });
  });

  test('lets a running call finish within the grace, and breaks off what outlives it', async () => {
    let finish: () => void = () => {};
    const begun = new Promise<void>((started) => {
      handlersOfStop.ask = (request) =>
        new Promise((resolve) => {
          finish = () => resolve(request);
          started();
        });
    });
    server = await serve({ listen, services: [service(TestDefinition, handlersOfStop)] });
    const client = connector.channel(`127.0.0.1:${server.port}`).client(TestDefinition);
    const call = client.ask(record('last'));
    await begun;
    const stopped = server.stop(10_000);
    finish();
    expect(text(await call)).toBe('last');
    await stopped;
    await expect(client.ask(record('after'))).rejects.toMatchObject({ errorName: 'NETWORK_EXCEPTION' });
  });
  const handlersOfStop = { ...handlers };

  test('does not wait without end for connections that the transport has lost track of', async () => {
    server = await serve({ listen, services });
    const shutdown = jest.spyOn(Server.prototype, 'tryShutdown').mockImplementation(() => {});
    await server.stop(0);
    expect(shutdown).toHaveBeenCalledTimes(1);
    shutdown.mockRestore();
    server = undefined;
  });

  test('closes connections beyond the limit', async () => {
    server = await serve({ listen, services, limits: { maxConnections: 1 } });
    const address = `127.0.0.1:${server.port}`;
    await connector.channel(address).client(TestDefinition).ask(record('first'));
    const second = createConnector();
    await expect(
      second.channel(address).client(TestDefinition).ask(record('x'), { timeoutMs: 3_000 }),
    ).rejects.toMatchObject({
      retriable: true,
    });
    second.close();
  });
});

describe('TLS', () => {
  const folder = mkdtempSync(join(tmpdir(), 'barnabas-tls-'));
  const openssl = (...args: string[]) => execFileSync('openssl', args, { cwd: folder, stdio: 'ignore' });
  let tls: ServerTls;
  let ca: Buffer;

  beforeAll(() => {
    const ec = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2'];
    openssl(
      'req',
      '-x509',
      ...ec,
      '-keyout',
      'key.pem',
      '-out',
      'cert.pem',
      '-subj',
      '/CN=localhost',
      '-addext',
      'subjectAltName=DNS:localhost',
    );
    ca = readFileSync(join(folder, 'cert.pem'));
    tls = { cert: ca, key: readFileSync(join(folder, 'key.pem')), ca };
  });
  afterAll(() => rmSync(folder, { recursive: true }));

  test('serves those who trust its certificate, and nobody else', async () => {
    const server = await serve({ listen, services, tls });
    const address = `127.0.0.1:${server.port}`;
    const trusting = createConnector({ tls: { ca, serverName: 'localhost' } });
    expect(text(await trusting.channel(address).client(TestDefinition).ask(record('hi')))).toBe('hi');
    const strange = createConnector({ tls: { serverName: 'localhost' } });
    await expect(strange.channel(address).client(TestDefinition).ask(record('hi'))).rejects.toMatchObject({
      errorName: 'NETWORK_EXCEPTION',
    });
    const plain = createConnector();
    await expect(plain.channel(address).client(TestDefinition).ask(record('hi'))).rejects.toMatchObject({
      errorName: 'NETWORK_EXCEPTION',
    });
    for (const connector of [trusting, strange, plain]) connector.close();
    await server.stop(0);
  });

  test('asks for a client certificate where it should', async () => {
    const server = await serve({ listen, services, tls: { ...tls, requireClientCertificate: true } });
    const address = `127.0.0.1:${server.port}`;
    const known = createConnector({ tls: { ca, cert: tls.cert, key: tls.key, serverName: 'localhost' } });
    expect(text(await known.channel(address).client(TestDefinition).ask(record('hi')))).toBe('hi');
    const anonymous = createConnector({ tls: { ca, serverName: 'localhost' } });
    await expect(anonymous.channel(address).client(TestDefinition).ask(record('hi'))).rejects.toMatchObject({
      errorName: 'NETWORK_EXCEPTION',
    });
    known.close();
    anonymous.close();
    await server.stop(0);
  });
});
