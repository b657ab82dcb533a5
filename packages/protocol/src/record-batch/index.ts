export {
  forEachBatch,
  readBatchHeader,
  splitBatches,
  validateBatch,
  validateProducerBatch,
} from './header.js';
export type { BatchLimits, BatchSlice } from './header.js';
export { RECORDS_AT as BATCH_HEADER_BYTES } from './layout.js';
export { patchBatch, setLogAppendTime, setProducerState } from './patch.js';
export type { LeaderAssignment } from './patch.js';
export * from './types.js';
