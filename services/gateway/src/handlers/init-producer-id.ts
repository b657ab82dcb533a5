/**
 * LogService/InitProducerId: any broker hands out producer ids; the next one is asked where one does
 * not answer. Asking twice only leaves an id unused.
 *
 * Errors: BROKER_NOT_AVAILABLE (no broker serves), and what the last broker failed with.
 */
import type { ClusterRouter } from '@barnabas/client';
import { v1 } from '@barnabas/protocol';
import type { CallContext } from '@barnabas/rpc';
import { timeToTry } from './deadline.js';

export function initProducerId(
  router: ClusterRouter,
  request: v1.InitProducerIdRequest,
  context: Pick<CallContext, 'timeoutMs'>,
): Promise<v1.InitProducerIdResponse> {
  return router.callAnyNode((node, options) => node.client(v1.LogServiceDefinition).initProducerId(request, options), {
    timeoutMs: timeToTry(context),
  });
}
