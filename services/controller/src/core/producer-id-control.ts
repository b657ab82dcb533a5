/**
 * Producer ids, handed to brokers in blocks so that none is ever given twice (KIP-730). A block whose
 * broker dies is lost: there are enough.
 *
 * Errors: BROKER_ID_NOT_REGISTERED, STALE_BROKER_EPOCH (by the caller's check), UNKNOWN_SERVER_ERROR
 * when 2^53 ids have been handed out.
 */
import type { BrokerImage, MetadataImage } from '@barnabas/metadata';
import { BarnabasError } from '@barnabas/protocol';
import type { internal } from '@barnabas/protocol';
import { Plan } from './decision.js';
import type { Decision } from './decision.js';
import { PRODUCER_ID_BLOCK_SIZE } from './limits.js';

export function allocateProducerIds(
  image: MetadataImage,
  { id: brokerId, epoch: brokerEpoch }: BrokerImage,
): Decision<internal.AllocateProducerIdsResponse> {
  const firstProducerId = image.nextProducerId;
  const nextProducerId = firstProducerId + PRODUCER_ID_BLOCK_SIZE;
  if (!Number.isSafeInteger(nextProducerId)) {
    throw new BarnabasError('UNKNOWN_SERVER_ERROR', 'all producer ids of this cluster have been handed out');
  }
  const plan = new Plan(image);
  plan.add([{ record: { $case: 'producerIds', producerIds: { brokerId, brokerEpoch, nextProducerId } } }]);
  return plan.decide({ firstProducerId, count: PRODUCER_ID_BLOCK_SIZE });
}
