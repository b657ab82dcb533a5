export { BatchBuilder, DEFAULT_MAX_BATCH_BYTES } from './builder.js';
export type { BatchBuilderOptions, BatchFields } from './builder.js';
export { MAX_OFFSET_DELTA, emptyBatch, fillerBatch, isFiller, retainRecords } from './compacted.js';
export { consumedRecords } from './consumed-records.js';
export type { ConsumedChunk, ConsumedRecordsOptions, WantedRecords } from './consumed-records.js';
export { ConsumedRecordsEncoder, sizeOfUnsigned, writeUnsigned } from './consumed-records-encoder.js';
export type { EncodedRecords, EncodedSource, EncodeFrame, EncodeLimits } from './consumed-records-encoder.js';
export { buildTransactionMarker, readControlRecord } from './control.js';
export type { ControlRecord, TransactionMarker, TransactionOutcome } from './control.js';
export {
  forEachBatch,
  lastLeaderEpoch,
  readBatchHeader,
  splitBatches,
  validateBatch,
  validateProducerBatch,
} from './header.js';
export type { BatchLimits, BatchSlice } from './header.js';
export { RECORDS_AT as BATCH_HEADER_BYTES } from './layout.js';
export { patchBatch, setLogAppendTime, setProducerState } from './patch.js';
export type { LeaderAssignment } from './patch.js';
export { decodeRecords, iterateRecords, RecordReader } from './records.js';
export type { DecodeOptions, RecordSpan } from './records.js';
export * from './types.js';
