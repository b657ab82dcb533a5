/** The first records of a cluster: who it is, and which record types its log may hold. */
import { METADATA_VERSION, SUPPORTED_METADATA_VERSION } from '@barnabas/metadata';
import type { MetadataImage } from '@barnabas/metadata';
import { Plan, answer } from './decision.js';
import type { Decision } from './decision.js';

/** Decides nothing for a cluster that has its id already. */
export function bootstrapCluster(image: MetadataImage, clusterId: string): Decision<void> {
  if (image.clusterId !== '') return answer(undefined);
  const plan = new Plan(image);
  const featureLevel = { name: METADATA_VERSION, level: SUPPORTED_METADATA_VERSION };
  plan.add([
    { record: { $case: 'clusterId', clusterId: { clusterId } } },
    { record: { $case: 'featureLevel', featureLevel } },
  ]);
  return plan.decide(undefined);
}
