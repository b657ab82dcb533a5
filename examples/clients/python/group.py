"""A member of a group: shares the partitions of a topic, prints their records, and acknowledges them.

python group.py HOST:PORT[,HOST:PORT...] GROUP TOPIC [INSTANCE]
"""
import asyncio
import itertools
import signal
import sys

import grpc
from barnabas.v1 import group_service_pb2 as group
from barnabas.v1 import group_service_pb2_grpc

if len(sys.argv) < 4:
    sys.exit(__doc__)
addresses, group_id, topic, instance_id, *_ = [*sys.argv[1:], ""]
positions = {}  # of the partitions that are ours: the next offset
member = group.SubscribeResume()  # who we are, to go on with when a stream breaks
stopping = asyncio.Event()

# A node that is gone without a word is noticed.
OPTIONS = [("grpc.keepalive_time_ms", 10_000), ("grpc.keepalive_timeout_ms", 5_000)]
FINAL = {grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.FAILED_PRECONDITION, grpc.StatusCode.UNIMPLEMENTED,
         grpc.StatusCode.PERMISSION_DENIED, grpc.StatusCode.UNAUTHENTICATED}


def position(partition):
    return group.SubscribePosition(topic=topic, partition=partition, offset=positions[partition])


async def subscribe(address):
    """One stream, until we stop or it breaks."""
    start = group.SubscribeStart(group_id=group_id, topics=[topic], instance_id=instance_id, client_id="python",
                                 auto_offset_reset=group.AUTO_OFFSET_RESET_EARLIEST, auto_commit_interval_ms=1_000)
    if member.member_id:
        member.incarnation += 1
        del member.owned[:]
        member.owned.extend(position(partition) for partition in positions)
        start.resume.CopyFrom(member)
    async with grpc.aio.insecure_channel(address, OPTIONS) as channel:
        stream = group_service_pb2_grpc.GroupServiceStub(channel).Subscribe()
        leaving = asyncio.create_task(leave(stream))
        try:
            await stream.write(group.SubscribeRequest(start=start))
            async for response in stream:
                if not stopping.is_set():  # what comes after that goes to another member
                    await handle(response, stream, address)
        finally:
            leaving.cancel()


async def leave(stream):
    """Closing our half in good order commits what is acknowledged, and leaves the group."""
    await stopping.wait()
    await stream.done_writing()


async def handle(response, stream, address):
    kind = response.WhichOneof("response")
    if kind == "joined":
        member.member_id, member.member_epoch = response.joined.member_id, response.joined.member_epoch
        member.incarnation = response.joined.incarnation
        print("joined", member.member_id, address, flush=True)
    elif kind == "assigned":
        member.member_epoch = response.assigned.member_epoch
        positions.update({one.partition: one.offset for one in response.assigned.positions})
        print("assigned", *(f"{one.partition}@{one.offset}" for one in response.assigned.positions), flush=True)
    elif kind in ("revoked", "lost"):  # what we acknowledged is committed; others go on from there
        gone = [one.partition for one in getattr(response, kind).partitions]
        for partition in gone:
            positions.pop(partition, None)
        print(kind, *gone, flush=True)
    elif kind == "records":
        batch = response.records
        for record in batch.records:
            print(batch.partition, record.offset, record.value.decode())
        sys.stdout.flush()
        positions[batch.partition] = batch.next_offset
        await stream.write(group.SubscribeRequest(ack=group.SubscribeAck(positions=[position(batch.partition)])))
    elif kind == "partition_error":
        print(response.partition_error.error.message, file=sys.stderr)


async def main():
    for stop in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(stop, stopping.set)
    for address in itertools.cycle(addresses.split(",")):
        try:
            await subscribe(address)
        except grpc.aio.AioRpcError as error:
            if error.code() in FINAL:
                sys.exit(f"refused: {error.details()}")
            print(f"{address}: {error.details()}", file=sys.stderr)
            await asyncio.sleep(0.1)
        if stopping.is_set():
            return


asyncio.run(main())
