/**
 * LogService/Produce: one request, one answer, when `acks` is satisfied for each entry.
 *
 * The call fails with what ProduceService refuses as a whole, with THROTTLING_QUOTA_EXCEEDED while
 * too many bytes wait for the disk, and with BROKER_NOT_AVAILABLE while the broker starts or stops.
 * Everything else is in the results.
 */
import type { v1 } from '@barnabas/protocol';
import type { ByteBudget } from '@barnabas/rpc';
import type { ProduceService } from './produce-service.js';

export async function produce(
  request: v1.ProduceRequest,
  isOurs: boolean,
  service: ProduceService,
  budget: ByteBudget,
): Promise<v1.ProduceResponse> {
  const bytes = service.admissible(request);
  await budget.admit(bytes);
  return new Promise((resolve, reject) => {
    try {
      service.submit(request, isOurs, budget, resolve);
    } catch (error) {
      reject(error);
    }
  });
}
