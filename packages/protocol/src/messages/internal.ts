/** What services say to each other, package barnabas.internal.v1. */
export * from '../gen/barnabas/internal/v1/controller_service.js';
export * from '../gen/barnabas/internal/v1/group_record.js';
export * from '../gen/barnabas/internal/v1/metadata_record.js';
export * from '../gen/barnabas/internal/v1/raft_service.js';
export * from '../gen/barnabas/internal/v1/replication_service.js';
