"""A member of a group: joins, reads, acknowledges, and leaves after ten records. Needs nothing but the code generated from proto/."""
import queue
import sys

import grpc
from barnabas.v1 import group_service_pb2 as group
from barnabas.v1 import group_service_pb2_grpc

address = sys.argv[1] if len(sys.argv) > 1 else "127.0.0.1:7600"
topic = sys.argv[2] if len(sys.argv) > 2 else "greetings"
requests = queue.SimpleQueue()
say = lambda **what: requests.put(group.SubscribeRequest(**what))

say(start=group.SubscribeStart(group_id="readers", topics=[topic], auto_offset_reset=group.AUTO_OFFSET_RESET_EARLIEST))
seen = 0
# Ending the requests is how a member leaves; a stream that breaks off can be resumed.
for answer in group_service_pb2_grpc.GroupServiceStub(grpc.insecure_channel(address)).Subscribe(iter(requests.get, None)):
    if answer.HasField("records"):
        batch = answer.records
        for record in batch.records:
            print(batch.partition, record.offset, record.key.decode(), record.value.decode())
        # All of the message is done with: this is what is committed, from time to time and when the member leaves.
        say(ack=group.SubscribeAck(positions=[dict(topic=batch.topic, partition=batch.partition, offset=batch.next_offset)]))
        seen += len(batch.records)
        if seen >= 10:
            requests.put(None)
