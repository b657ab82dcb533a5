export * from './checker.js';
export * from './registers.js';
