/** The public API, package barnabas.v1. */
export * from '../gen/barnabas/v1/admin_service.js';
export * from '../gen/barnabas/v1/error.js';
export * from '../gen/barnabas/v1/group_service.js';
export * from '../gen/barnabas/v1/log_service.js';
export * from '../gen/barnabas/v1/metadata_service.js';
export * from '../gen/barnabas/v1/record.js';
