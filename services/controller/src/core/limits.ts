/** Limits of one request, checked before anything is decided. */

/** A topic and its partitions are one entry of the Raft log, which must stay a message of modest size. */
export const MAX_PARTITIONS_PER_TOPIC = 10_000;
/** New partitions in one request, as in Kafka. */
export const MAX_NEW_PARTITIONS_PER_REQUEST = 10_000;
/** Longest configuration value: what Kafka's strings can hold. */
export const MAX_CONFIG_VALUE_LENGTH = 32_767;
/** Resources whose configurations one request may change. */
export const MAX_CONFIG_RESOURCES_PER_REQUEST = 10_000;
/** Endpoints that a broker may announce. */
export const MAX_ENDPOINTS = 16;
/** Features that a node may announce. */
export const MAX_FEATURES = 100;
/** Longest host name, rack or listener name. */
export const MAX_NAME_LENGTH = 255;
/** Node ids are 32-bit. */
export const MAX_BROKER_ID = 2 ** 31 - 1;
/** Producer ids that are handed out at once (KIP-730). */
export const PRODUCER_ID_BLOCK_SIZE = 1_000;
/** Partitions that one request about existing partitions may name. */
export const MAX_PARTITIONS_PER_REQUEST = 100_000;
