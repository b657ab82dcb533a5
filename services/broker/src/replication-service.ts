/** barnabas.internal.v1.ReplicationService of a broker: hands streams to the node, once there is one that serves. */
import type { InvariantError } from '@barnabas/common';
import { BarnabasError, internal } from '@barnabas/protocol';
import { service } from '@barnabas/rpc';
import type { ServiceRegistration } from '@barnabas/rpc';
import type { LeaderSide } from './replication/leader-side.js';
import { gatheredFollowerStream } from './replication/messages.js';

/** `leaderSide` gives undefined before the broker has registered and been unfenced, and once it stops (race 19). */
export function replicationService(
  leaderSide: () => LeaderSide | undefined,
  onFault: (fault: InvariantError) => void,
): ServiceRegistration {
  return service(
    internal.ReplicationServiceDefinition,
    {
      replicate(stream) {
        const current = leaderSide();
        if (current === undefined) {
          throw new BarnabasError('BROKER_NOT_AVAILABLE', 'the broker is starting or stopping: try again later');
        }
        current.replicate(gatheredFollowerStream(stream));
      },
    },
    onFault,
  );
}
