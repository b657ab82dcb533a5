"""Writes ten records to a topic and reads them back. Needs nothing but the code generated from proto/."""
import sys

import grpc
from barnabas.v1 import log_service_pb2 as log
from barnabas.v1 import log_service_pb2_grpc
from barnabas.v1.record_pb2 import Record

address = sys.argv[1] if len(sys.argv) > 1 else "127.0.0.1:7600"
topic = sys.argv[2] if len(sys.argv) > 2 else "greetings"
barnabas = log_service_pb2_grpc.LogServiceStub(grpc.insecure_channel(address))

records = [Record(key=b"key-%d" % (n % 3), value=b"hello %d" % n) for n in range(10)]
entry = log.ProduceEntry(topic=topic, records=log.RecordList(records=records))
for result in barnabas.Produce(log.ProduceRequest(entries=[entry])).results:
    if result.HasField("error"):
        sys.exit(f"not written: {result.error.message}")
    print(f"wrote to partition {result.partition} from offset {result.base_offset}")

start = log.StartPosition(earliest=True)
for message in barnabas.Consume(log.ConsumeRequest(topic=topic, start=start, stop_at_end=True)):
    for record in message.records:
        print(record.partition, record.offset, record.key.decode(), record.value.decode())
