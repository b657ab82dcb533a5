export * from './admin-forwarder.js';
export * from './metadata-service.js';
