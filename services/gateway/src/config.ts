/**
 * A gateway's configuration: Kafka's keys where Kafka has them. Those that begin with `gateway.` stand
 * apart from a broker's `listeners` and `compression.type`, because both may be in one process and file.
 */
import {
  addresses,
  defineConfig,
  enumeration,
  integer,
  key,
  listeners,
  long,
  port,
  quorumVoters,
  string,
} from '@barnabas/common/config';
import type { ConfigOf } from '@barnabas/common/config';
import { COMPRESSION_TYPES } from '@barnabas/protocol';

const MiB = 1024 * 1024;

export const gatewayConfig = defineConfig(
  {
    // Where.
    'gateway.listeners': key(listeners(), {
      default: [{ name: 'CLIENT', host: '', port: 7600 }],
      doc: 'Where the gateway listens for gRPC.',
    }),
    'http.host': key(string({ minLength: 1 }), {
      default: '127.0.0.1',
      doc: 'The interface on which the gateway serves HTTP: health and metrics.',
    }),
    'http.port': key(port(), { default: 7680, doc: 'The port on which the gateway serves HTTP.' }),
    'controller.quorum.voters': key(quorumVoters(), {
      default: null,
      doc: 'The controllers that vote, where the configuration says so. Who else votes by now they tell themselves.',
    }),
    'controller.quorum.bootstrap.servers': key(addresses(), {
      default: null,
      doc: 'Controllers to ask for the others, where the quorum says who votes (KIP-853). This or controller.quorum.voters must be given.',
    }),

    // How it writes for clients that send records instead of batches.
    'linger.ms': key(integer({ min: 0 }), {
      default: 0,
      doc: 'How long a record of a thin client waits for others to share its batch. Records that are there at once share one anyway.',
    }),
    'batch.size': key(integer({ min: 0 }), {
      default: 65_536,
      doc: 'A batch of the records of thin clients is sent when it has this size.',
    }),
    'gateway.compression.type': key(enumeration(COMPRESSION_TYPES), {
      default: 'none',
      doc: 'How the gateway compresses the batches that it makes of the records of thin clients.',
    }),
    'buffer.memory': key(long({ min: MiB }), {
      default: 64 * MiB,
      doc: 'Memory for the records of thin clients that are not written yet, for each level of acks.',
    }),

    // How long it tries.
    'request.timeout.ms': key(integer({ min: 1 }), {
      default: 30_000,
      doc: 'How long the gateway waits for a leader to answer before the request counts as lost.',
    }),
    'delivery.timeout.ms': key(integer({ min: 1 }), {
      default: 120_000,
      doc: 'How long the gateway goes on trying to write a record of a thin client. Its own timeout_ms ends the wait for the answer.',
    }),

    // What one request, stream or client may cost.
    'message.max.bytes': key(integer({ min: 0 }), {
      default: 1_048_588,
      doc: 'The largest batch that the gateway makes of records; as large as the brokers take.',
    }),
    'socket.request.max.bytes': key(integer({ min: 1 }), {
      default: 100 * MiB,
      doc: 'The most bytes of batches and records in one produce request.',
    }),
    'barnabas.request.max.records': key(integer({ min: 1 }), {
      default: 100_000,
      doc: 'The most records in one produce request of a thin client.',
    }),
    'queued.max.request.bytes': key(long({ min: 1 }), {
      default: 128 * MiB,
      doc: 'Bytes taken from clients and not yet written, over all of them; beyond it the gateway stops reading produce streams.',
    }),
    'barnabas.queued.max.stream.bytes': key(long({ min: 1 }), {
      default: 16 * MiB,
      doc: 'Bytes of one produce stream that may be on their way; beyond it the gateway stops reading that stream.',
    }),
    'barnabas.fetch.stream.buffer.bytes': key(integer({ min: 65_536 }), {
      default: 4 * MiB,
      doc: 'What the gateway holds for one fetch, consume or Subscribe stream whose client does not read; each leader may add one message.',
    }),
    'barnabas.fetch.max.stream.subscriptions': key(integer({ min: 1 }), {
      default: 10_000,
      doc: 'The most partitions on one fetch stream.',
    }),
    'fetch.max.bytes': key(integer({ min: 1024 }), {
      default: 8 * MiB,
      doc: 'The most bytes of batches in one message of a fetch stream, whatever the client asks for.',
    }),
  },
  [
    {
      key: 'controller.quorum.voters',
      holds: (config) =>
        config['controller.quorum.bootstrap.servers'] !== null || config['controller.quorum.voters'] !== null,
      allowed: 'given, unless controller.quorum.bootstrap.servers is',
    },
    {
      key: 'delivery.timeout.ms',
      holds: (config) => config['delivery.timeout.ms'] >= config['linger.ms'] + config['request.timeout.ms'],
      allowed: 'at least linger.ms + request.timeout.ms',
    },
    {
      key: 'socket.request.max.bytes',
      holds: (config) => config['socket.request.max.bytes'] >= config['message.max.bytes'],
      allowed: 'at least message.max.bytes',
    },
  ],
);

export type GatewayConfig = ConfigOf<typeof gatewayConfig>;
