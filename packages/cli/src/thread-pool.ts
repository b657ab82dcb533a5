/**
 * How many threads libuv gets. LevelDB's reads, writes and fsyncs run there; with libuv's own 4 they
 * wait for each other (256 partitions, each write fsynced: 40 MB/s with 4 threads, 70 MB/s with 16).
 */
export const THREAD_POOL_SIZE = '16';
