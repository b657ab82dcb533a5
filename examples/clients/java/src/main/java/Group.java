import io.barnabas.v1.*;
import io.grpc.*;
import io.grpc.stub.StreamObserver;
import java.util.*;
import java.util.concurrent.*;
import java.util.stream.Collectors;

/**
 * A member of a group: shares the partitions of a topic, prints their records, and acknowledges them.
 *
 * <pre>java -jar target/group.jar HOST:PORT[,HOST:PORT...] GROUP TOPIC [INSTANCE]</pre>
 */
public class Group {
  private static final Set<Status.Code> FINAL =
      Set.of(Status.Code.INVALID_ARGUMENT, Status.Code.FAILED_PRECONDITION, Status.Code.UNIMPLEMENTED,
          Status.Code.PERMISSION_DENIED, Status.Code.UNAUTHENTICATED);

  private final String group, topic, instance;
  /** Of the partitions that are ours: the next offset. */
  private final Map<Integer, Long> positions = new TreeMap<>();
  /** Who we are, to go on with when a stream breaks. */
  private final SubscribeResume.Builder member = SubscribeResume.newBuilder();
  private StreamObserver<SubscribeRequest> requests;
  private boolean isStopping;

  Group(String group, String topic, String instance) {
    this.group = group;
    this.topic = topic;
    this.instance = instance;
  }

  public static void main(String[] arguments) throws Exception {
    var group = new Group(arguments[1], arguments[2], arguments.length > 3 ? arguments[3] : "");
    var left = new CountDownLatch(1);
    Runtime.getRuntime().addShutdownHook(new Thread(() -> {
      group.stop();
      try {
        left.await(20, TimeUnit.SECONDS);
      } catch (InterruptedException nobodyWaits) {
        // The process ends.
      }
      Runtime.getRuntime().halt(0);
    }));
    var addresses = arguments[0].split(",");
    for (int next = 0; !group.isStopping(); next++) {
      var address = addresses[next % addresses.length];
      var status = group.subscribe(address);
      if (FINAL.contains(status.getCode())) {
        System.err.println("refused: " + status.getDescription());
        Runtime.getRuntime().halt(1);
      }
      if (!status.isOk()) System.err.println(address + ": " + status.getDescription());
      Thread.sleep(100);
    }
    left.countDown();
  }

  /** One stream, until we have left or it breaks. Returns why. */
  private Status subscribe(String address) throws InterruptedException {
    var channel = Grpc.newChannelBuilder(address, InsecureChannelCredentials.create())
        // A node that is gone without a word is noticed.
        .keepAliveTime(10, TimeUnit.SECONDS).keepAliveTimeout(5, TimeUnit.SECONDS).build();
    var over = new CompletableFuture<Status>();
    synchronized (this) {
      requests = GroupServiceGrpc.newStub(channel).subscribe(new StreamObserver<>() {
        public void onNext(SubscribeResponse response) {
          handle(response, address);
        }

        public void onError(Throwable error) {
          over.complete(Status.fromThrowable(error));
        }

        public void onCompleted() {
          over.complete(Status.OK);
        }
      });
      requests.onNext(SubscribeRequest.newBuilder().setStart(start()).build());
      if (isStopping) requests.onCompleted();
    }
    var status = over.join();
    channel.shutdownNow().awaitTermination(1, TimeUnit.SECONDS);
    return status;
  }

  private SubscribeStart start() {
    var start = SubscribeStart.newBuilder().setGroupId(group).addTopics(topic).setInstanceId(instance)
        .setClientId("java").setAutoOffsetReset(AutoOffsetReset.AUTO_OFFSET_RESET_EARLIEST)
        .setAutoCommitIntervalMs(1_000);
    if (!member.getMemberId().isEmpty()) {
      member.setIncarnation(member.getIncarnation() + 1).clearOwned();
      for (int partition : positions.keySet()) member.addOwned(position(partition));
      start.setResume(member);
    }
    return start.build();
  }

  private SubscribePosition position(int partition) {
    return SubscribePosition.newBuilder().setTopic(topic).setPartition(partition).setOffset(positions.get(partition)).build();
  }

  private synchronized void handle(SubscribeResponse response, String address) {
    if (isStopping) return; // what comes now goes to another member
    switch (response.getResponseCase()) {
      case JOINED -> {
        var joined = response.getJoined();
        member.setMemberId(joined.getMemberId()).setMemberEpoch(joined.getMemberEpoch());
        member.setIncarnation(joined.getIncarnation());
        System.out.println("joined " + joined.getMemberId() + " " + address);
      }
      case ASSIGNED -> {
        member.setMemberEpoch(response.getAssigned().getMemberEpoch());
        var assigned = response.getAssigned().getPositionsList();
        for (var one : assigned) positions.put(one.getPartition(), one.getOffset());
        print("assigned", assigned.stream().map(one -> one.getPartition() + "@" + one.getOffset()).toList());
      }
      // What we acknowledged is committed; others go on from there.
      case REVOKED -> gone("revoked", response.getRevoked().getPartitionsList());
      case LOST -> gone("lost", response.getLost().getPartitionsList());
      case RECORDS -> {
        var batch = response.getRecords();
        for (var record : batch.getRecordsList()) {
          System.out.println(batch.getPartition() + " " + record.getOffset() + " " + record.getValue().toStringUtf8());
        }
        positions.put(batch.getPartition(), batch.getNextOffset());
        var ack = SubscribeAck.newBuilder().addPositions(position(batch.getPartition()));
        requests.onNext(SubscribeRequest.newBuilder().setAck(ack).build());
      }
      case PARTITION_ERROR -> System.err.println(response.getPartitionError().getError().getMessage());
      default -> {}
    }
  }

  private void gone(String how, List<GroupPartition> partitions) {
    for (var one : partitions) positions.remove(one.getPartition());
    print(how, partitions.stream().map(GroupPartition::getPartition).toList());
  }

  private static void print(String what, List<?> partitions) {
    System.out.println(what + partitions.stream().map(one -> " " + one).collect(Collectors.joining()));
  }

  /** Closing our half in good order commits what is acknowledged, and leaves the group. */
  private synchronized void stop() {
    isStopping = true;
    if (requests != null) requests.onCompleted();
  }

  private synchronized boolean isStopping() {
    return isStopping;
  }
}
