/**
 * The gateway over HTTP, for probes and for Prometheus:
 *   GET /health/live    200 while the process answers
 *   GET /health/ready   200 while the gateway serves, else 503 with the reason
 *   GET /metrics        Prometheus' text format, of the whole process
 */
import { fastify } from 'fastify';
import type { FastifyInstance } from 'fastify';
import { BarnabasError } from '@barnabas/protocol';

/** What PrometheusMetrics offers. */
export interface MetricsPage {
  readonly contentType: string;
  expose(): Promise<string>;
}

export interface HttpServerOptions {
  readonly host: string;
  readonly port: number;
  /** Why the gateway does not serve; undefined while it does. */
  readonly notReady: () => string | undefined;
  /** Absent where nothing is measured. */
  readonly metricsPage: MetricsPage | undefined;
}

export interface HttpServer {
  readonly port: number;
  close(): Promise<void>;
}

/** A request has no body worth reading. */
const BODY_LIMIT_BYTES = 16 * 1024;
const REQUEST_TIMEOUT_MS = 10_000;

export async function startHttpServer(options: HttpServerOptions): Promise<HttpServer> {
  const { host, port } = options;
  // A scraper that keeps its connection open must not hold up a stop.
  const server = fastify({
    bodyLimit: BODY_LIMIT_BYTES,
    requestTimeout: REQUEST_TIMEOUT_MS,
    forceCloseConnections: true,
  });
  addRoutes(server, options);
  try {
    await server.listen({ host, port });
  } catch (error) {
    const text = error instanceof Error ? error.message : String(error);
    throw new BarnabasError(
      'INVALID_CONFIG',
      `cannot serve HTTP on ${host}:${port}: ${text}; choose another http.port`,
    );
  }
  const [bound] = server.addresses();
  return { port: typeof bound === 'object' ? bound.port : port, close: () => server.close() };
}

function addRoutes(server: FastifyInstance, { notReady, metricsPage }: HttpServerOptions): void {
  server.get('/health/live', () => ({ status: 'live' }));
  server.get('/health/ready', (_request, reply) => {
    const reason = notReady();
    void reply.code(reason === undefined ? 200 : 503);
    return reason === undefined ? { status: 'ready' } : { status: 'not ready', reason };
  });
  server.get('/metrics', async (_request, reply) => {
    if (metricsPage === undefined) return reply.code(404).send('no metrics are kept by this process\n');
    return reply.type(metricsPage.contentType).send(await metricsPage.expose());
  });
}
