/**
 * The one table of errors: Kafka's name and number, what the client should do, whether sending the
 * same request again may succeed, and the gRPC status when the whole call failed for this reason.
 *
 * Grouped as docs/architecture.md, section 10 groups them. Names and numbers are those of
 * `org.apache.kafka.common.protocol.Errors` and of the proto enum barnabas.v1.ErrorCode, which a
 * test compares with this table. Nothing else in the code base decides what an error means.
 */

/** What a client does about an error. It acts on this, never on the text. */
export type ClientAction =
  | 'fix-request' // the same request fails again: change it
  | 'refresh-metadata' // ask for metadata again, then retry
  | 'retry-elsewhere' // the right node is another one: refresh metadata and retry there
  | 'back-off' // the right node cannot serve yet: wait and retry
  | 'reset-offset' // choose another position (auto.offset.reset)
  | 'retry-if-idempotent' // the server may or may not have acted
  | 'stop' // this producer, member or session is over
  | 'rejoin' // join the group again
  | 'slow-down' // retry after the throttle time
  | 'report'; // a person must look: the server failed or data was lost

/** The names of gRPC's status codes that an error can carry. */
export type GrpcStatusName =
  | 'INVALID_ARGUMENT'
  | 'NOT_FOUND'
  | 'ALREADY_EXISTS'
  | 'PERMISSION_DENIED'
  | 'UNAUTHENTICATED'
  | 'UNIMPLEMENTED'
  | 'ABORTED'
  | 'UNAVAILABLE'
  | 'OUT_OF_RANGE'
  | 'DEADLINE_EXCEEDED'
  | 'FAILED_PRECONDITION'
  | 'RESOURCE_EXHAUSTED'
  | 'DATA_LOSS'
  | 'INTERNAL';

export interface ErrorEntry {
  /** Kafka's number. */
  readonly code: number;
  /** The same request, sent again, may succeed. */
  readonly retriable: boolean;
  readonly action: ClientAction;
  readonly status: GrpcStatusName;
  readonly meaning: string;
}

type Rows = Readonly<Record<string, readonly [code: number, meaning: string]>>;

function group<R extends Rows>(
  action: ClientAction,
  retriable: 'final' | 'retriable',
  status: GrpcStatusName,
  rows: R,
): { readonly [Name in keyof R]: ErrorEntry } {
  const entries = Object.entries(rows).map(([name, [code, meaning]]) => [
    name,
    Object.freeze({ code, retriable: retriable === 'retriable', action, status, meaning }),
  ]);
  return Object.fromEntries(entries) as { readonly [Name in keyof R]: ErrorEntry };
}

export const ERRORS = Object.freeze({
  ...group('fix-request', 'final', 'INVALID_ARGUMENT', {
    CORRUPT_MESSAGE: [2, 'a record batch is malformed or fails its CRC'],
    INVALID_FETCH_SIZE: [4, 'the fetch size is not allowed'],
    MESSAGE_TOO_LARGE: [10, 'a batch is larger than max.message.bytes'],
    OFFSET_METADATA_TOO_LARGE: [12, 'the metadata string of a committed offset is too long'],
    INVALID_TOPIC_EXCEPTION: [17, 'the topic name is illegal or the topic may not be used this way'],
    RECORD_LIST_TOO_LARGE: [18, 'the batches of a request are together larger than allowed'],
    INVALID_REQUIRED_ACKS: [21, 'acks is none of 0, 1 and all'],
    INVALID_GROUP_ID: [24, 'the group id is illegal'],
    INVALID_SESSION_TIMEOUT: [26, 'the session timeout is outside the range that the server allows'],
    INVALID_COMMIT_OFFSET_SIZE: [28, 'a commit is too large'],
    INVALID_TIMESTAMP: [32, 'a timestamp is further from now than the topic allows'],
    INVALID_PARTITIONS: [37, 'the number of partitions is not allowed'],
    INVALID_REPLICATION_FACTOR: [38, 'the replication factor is below 1 or above the number of brokers'],
    INVALID_REPLICA_ASSIGNMENT: [39, 'the replica assignment is inconsistent'],
    INVALID_CONFIG: [40, 'a configuration key or value is not allowed'],
    INVALID_REQUEST: [42, 'the request contradicts itself or lacks something'],
    UNSUPPORTED_FOR_MESSAGE_FORMAT: [43, 'the record format has no place for what was asked'],
    POLICY_VIOLATION: [44, 'a policy of this cluster forbids the request'],
    INVALID_TRANSACTION_TIMEOUT: [50, 'the transaction timeout is larger than the server allows'],
    INVALID_PRINCIPAL_TYPE: [67, 'the kind of principal is not known'],
    UNSUPPORTED_COMPRESSION_TYPE: [76, 'the compression type is not known or not allowed here'],
    INVALID_RECORD: [87, 'a record breaks a rule of its batch or topic'],
    DUPLICATE_RESOURCE: [92, 'the request names the same resource twice'],
    UNACCEPTABLE_CREDENTIAL: [93, 'the credential is too weak or malformed'],
    INVALID_UPDATE_VERSION: [95, 'the change builds on a state that is not the present one'],
    UNSUPPORTED_ASSIGNOR: [112, 'the group does not know the assignor or its version'],
    INVALID_REGULAR_EXPRESSION: [128, 'the regular expression does not parse'],
  }),
  ...group('fix-request', 'final', 'OUT_OF_RANGE', {
    POSITION_OUT_OF_RANGE: [99, 'the position lies outside the snapshot'],
  }),
  ...group('fix-request', 'final', 'UNIMPLEMENTED', {
    UNSUPPORTED_SASL_MECHANISM: [33, 'the server does not offer this SASL mechanism'],
    UNSUPPORTED_VERSION: [35, 'the server does not speak this version of the call'],
  }),
  ...group('fix-request', 'final', 'NOT_FOUND', {
    LOG_DIR_NOT_FOUND: [57, 'the broker has no such log directory'],
    GROUP_ID_NOT_FOUND: [69, 'there is no such group'],
    NO_REASSIGNMENT_IN_PROGRESS: [85, 'there is no reassignment to cancel'],
    RESOURCE_NOT_FOUND: [91, 'there is no such resource'],
    SNAPSHOT_NOT_FOUND: [98, 'there is no such snapshot: start again with the latest'],
    TRANSACTIONAL_ID_NOT_FOUND: [105, 'there is no such transactional id'],
    VOTER_NOT_FOUND: [127, 'there is no such voter'],
  }),
  ...group('fix-request', 'final', 'ALREADY_EXISTS', {
    TOPIC_ALREADY_EXISTS: [36, 'a topic with this name exists'],
    DUPLICATE_BROKER_REGISTRATION: [101, 'another live broker has this id'],
    DUPLICATE_VOTER: [126, 'this voter is already in the set'],
  }),
  ...group('fix-request', 'final', 'FAILED_PRECONDITION', {
    SECURITY_DISABLED: [54, 'security is switched off on this cluster'],
    REASSIGNMENT_IN_PROGRESS: [60, 'the partition is being reassigned'],
    NON_EMPTY_GROUP: [68, 'the group still has members'],
    TOPIC_DELETION_DISABLED: [73, 'topic deletion is switched off (delete.topic.enable)'],
    ELECTION_NOT_NEEDED: [84, 'the partition has the leader it should have'],
    GROUP_SUBSCRIBED_TO_TOPIC: [86, 'the group is still subscribed to the topic'],
    FEATURE_UPDATE_FAILED: [96, 'the feature cannot be changed now'],
    INELIGIBLE_REPLICA: [107, 'a replica of the proposed ISR may not be in it'],
  }),
  ...group('refresh-metadata', 'retriable', 'NOT_FOUND', {
    UNKNOWN_TOPIC_OR_PARTITION: [3, 'this node knows no such topic or partition'],
    UNKNOWN_TOPIC_ID: [100, 'this node knows no topic with this id'],
    INCONSISTENT_TOPIC_ID: [103, 'the topic was deleted and created again: its id has changed'],
  }),
  ...group('refresh-metadata', 'retriable', 'UNAVAILABLE', {
    REPLICA_NOT_AVAILABLE: [9, 'the replica is not on this node or not ready'],
    LISTENER_NOT_FOUND: [72, 'the leader has no such listener'],
  }),
  ...group('retry-elsewhere', 'retriable', 'ABORTED', {
    NOT_LEADER_OR_FOLLOWER: [6, 'another broker leads the partition'],
    STALE_CONTROLLER_EPOCH: [11, 'another controller leads'],
    NOT_COORDINATOR: [16, 'another broker is the coordinator'],
    NOT_CONTROLLER: [41, 'another controller leads'],
    FENCED_LEADER_EPOCH: [74, "the leader epoch of the request is older than the partition's"],
    NEW_LEADER_ELECTED: [108, 'the change was made, and it moved the leader'],
  }),
  ...group('back-off', 'retriable', 'UNAVAILABLE', {
    LEADER_NOT_AVAILABLE: [5, 'the partition has no leader at the moment'],
    BROKER_NOT_AVAILABLE: [8, 'the broker is not available'],
    COORDINATOR_LOAD_IN_PROGRESS: [14, 'the coordinator is still reading its log'],
    COORDINATOR_NOT_AVAILABLE: [15, 'the coordinator is not available'],
    NOT_ENOUGH_REPLICAS: [19, 'the ISR is smaller than min.insync.replicas; nothing was written'],
    OPERATION_NOT_ATTEMPTED: [55, 'the operation was not tried because another of the same request failed'],
    UNKNOWN_LEADER_EPOCH: [75, 'the leader epoch of the request is newer than this node knows'],
    OFFSET_NOT_AVAILABLE: [78, 'the new leader does not know its high watermark yet'],
    PREFERRED_LEADER_NOT_AVAILABLE: [80, 'the preferred leader is not available'],
    ELIGIBLE_LEADERS_NOT_AVAILABLE: [83, 'no replica may become leader at the moment'],
    UNSTABLE_OFFSET_COMMIT: [88, 'a transaction holds an offset commit open'],
  }),
  ...group('back-off', 'retriable', 'ABORTED', {
    CONCURRENT_TRANSACTIONS: [51, 'the previous transaction of this producer is still being completed'],
    FETCH_SESSION_ID_NOT_FOUND: [70, 'the fetch session is gone: open another'],
  }),
  ...group('reset-offset', 'final', 'OUT_OF_RANGE', {
    OFFSET_OUT_OF_RANGE: [1, 'the offset is below the log start offset or above the log end offset'],
  }),
  ...group('retry-if-idempotent', 'retriable', 'DEADLINE_EXCEEDED', {
    REQUEST_TIMED_OUT: [7, 'no answer in time; the request may have taken effect'],
    NOT_ENOUGH_REPLICAS_AFTER_APPEND: [20, 'written, but the ISR shrank below min.insync.replicas before it was safe'],
  }),
  ...group('retry-if-idempotent', 'retriable', 'UNAVAILABLE', {
    NETWORK_EXCEPTION: [13, 'the connection broke before the answer; the request may have taken effect'],
  }),
  ...group('stop', 'final', 'FAILED_PRECONDITION', {
    OUT_OF_ORDER_SEQUENCE_NUMBER: [45, 'a batch of this producer is missing before this one'],
    DUPLICATE_SEQUENCE_NUMBER: [46, 'this batch was written before, too long ago to tell its offset'],
    INVALID_PRODUCER_EPOCH: [47, 'a newer epoch of this producer has written'],
    INVALID_TXN_STATE: [48, 'the transaction is not in a state that allows this'],
    INVALID_PRODUCER_ID_MAPPING: [49, 'the producer id does not belong to the transactional id'],
    TRANSACTION_COORDINATOR_FENCED: [52, 'another coordinator has taken over'],
    UNKNOWN_PRODUCER_ID: [59, 'the partition remembers nothing of this producer'],
    STALE_BROKER_EPOCH: [77, 'the broker has registered again since'],
    GROUP_MAX_SIZE_REACHED: [81, 'the group has as many members as it may have'],
    FENCED_INSTANCE_ID: [82, 'another member has taken this group.instance.id'],
    PRODUCER_FENCED: [90, 'a newer producer has this transactional id'],
    INCONSISTENT_VOTER_SET: [94, 'the node is not one of the expected voters'],
    BROKER_ID_NOT_REGISTERED: [102, 'the broker has not registered'],
    INCONSISTENT_CLUSTER_ID: [104, 'the node belongs to another cluster'],
    UNRELEASED_INSTANCE_ID: [111, 'another member still holds this group.instance.id'],
    INVALID_REGISTRATION: [119, 'the controller refuses this registration'],
  }),
  ...group('stop', 'final', 'PERMISSION_DENIED', {
    TOPIC_AUTHORIZATION_FAILED: [29, 'the principal may not do this to the topic'],
    GROUP_AUTHORIZATION_FAILED: [30, 'the principal may not do this to the group'],
    CLUSTER_AUTHORIZATION_FAILED: [31, 'the principal may not do this to the cluster'],
    TRANSACTIONAL_ID_AUTHORIZATION_FAILED: [53, 'the principal may not use this transactional id'],
  }),
  ...group('stop', 'final', 'UNAUTHENTICATED', {
    ILLEGAL_SASL_STATE: [34, 'this message may not come at this point of the SASL exchange'],
    SASL_AUTHENTICATION_FAILED: [58, 'the credentials are wrong'],
  }),
  ...group('rejoin', 'final', 'ABORTED', {
    ILLEGAL_GENERATION: [22, 'the group is in another generation'],
    INCONSISTENT_GROUP_PROTOCOL: [23, 'the member shares no protocol with the group'],
    UNKNOWN_MEMBER_ID: [25, 'the group does not know this member'],
    REBALANCE_IN_PROGRESS: [27, 'the group is rebalancing'],
    MEMBER_ID_REQUIRED: [79, 'join again with the member id in the answer'],
    FENCED_MEMBER_EPOCH: [110, 'the group has moved past this member epoch'],
    STALE_MEMBER_EPOCH: [113, 'the member epoch is old: take the new one from the next heartbeat'],
  }),
  ...group('slow-down', 'retriable', 'RESOURCE_EXHAUSTED', {
    THROTTLING_QUOTA_EXCEEDED: [89, 'a quota is used up'],
  }),
  // Another replica may lead by the time of a retry, so a writer may try again within its deadline;
  // a person must look all the same.
  ...group('report', 'retriable', 'DATA_LOSS', {
    KAFKA_STORAGE_ERROR: [56, 'the disk failed, or a stored batch fails its CRC'],
  }),
  ...group('report', 'final', 'INTERNAL', {
    UNKNOWN_SERVER_ERROR: [-1, 'the server failed in a way it has no name for'],
  }),
});

/** Kafka's name of an error; the proto enum's value without its prefix, NONE excluded. */
export type ErrorName = keyof typeof ERRORS;
