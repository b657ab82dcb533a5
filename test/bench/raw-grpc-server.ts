/** The process at the other end of the raw gRPC ceiling. Says its port, ends with its parent. */
import { rawServer } from './raw-grpc.js';

void rawServer(process.argv[2] === 'wide').then(({ port, stop }) => {
  process.send?.({ port });
  process.on('disconnect', () => {
    stop();
    process.exit(0);
  });
});
