/**
 * grpc-js writes lines of its own to standard error. All they say reaches a caller as a BarnabasError,
 * so they stay silent unless somebody asks for them with grpc-js's own GRPC_VERBOSITY.
 */
import { logVerbosity, setLogVerbosity } from '@grpc/grpc-js';

if (process.env['GRPC_VERBOSITY'] === undefined) setLogVerbosity(logVerbosity.NONE);
