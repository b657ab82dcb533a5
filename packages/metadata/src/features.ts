/**
 * Features and their levels. `metadata.version` says which record types the log may hold: a node that
 * does not know the cluster's level stops rather than guess.
 */

export const METADATA_VERSION = 'metadata.version';

/** What this release writes into a new cluster, and the highest it can follow. */
export const SUPPORTED_METADATA_VERSION = 1;
