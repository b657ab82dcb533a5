// A member of a group: shares the partitions of a topic, prints their records, and acknowledges them.
//
//	go run ./group HOST:PORT[,HOST:PORT...] GROUP TOPIC [INSTANCE]
package main

import (
	"context"
	"fmt"
	"log"
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/status"

	barnabas "barnabas.example/quickstart/barnabas/v1"
)

type member struct {
	group, topic, instance string
	positions              map[int32]int64 // of the partitions that are ours: the next offset
	id                     string          // who we are, to go on with when a stream breaks
	epoch, incarnation     int32
}

func main() {
	arguments := append(os.Args[1:], "")
	if len(arguments) < 4 {
		log.Fatal("usage: group HOST:PORT[,HOST:PORT...] GROUP TOPIC [INSTANCE]")
	}
	m := &member{group: arguments[1], topic: arguments[2], instance: arguments[3], positions: map[int32]int64{}}
	stopping, _ := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	addresses := strings.Split(arguments[0], ",")
	for next := 0; ; next++ {
		address := addresses[next%len(addresses)]
		err := m.subscribe(stopping, address)
		if stopping.Err() != nil {
			return
		}
		switch status.Code(err) {
		case codes.InvalidArgument, codes.FailedPrecondition, codes.Unimplemented, codes.PermissionDenied, codes.Unauthenticated:
			log.Fatalf("refused: %v", err)
		}
		log.Printf("%s: %v", address, err)
		time.Sleep(100 * time.Millisecond)
	}
}

// One stream, until we stop or it breaks.
func (m *member) subscribe(stopping context.Context, address string) error {
	connection, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()),
		// A node that is gone without a word is noticed.
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: 10 * time.Second, Timeout: 5 * time.Second}))
	if err != nil {
		return err
	}
	defer connection.Close()
	stream, err := barnabas.NewGroupServiceClient(connection).Subscribe(context.Background())
	if err != nil {
		return err
	}
	if err := stream.Send(&barnabas.SubscribeRequest{Request: &barnabas.SubscribeRequest_Start{Start: m.start()}}); err != nil {
		_, err = stream.Recv() // says why
		return err
	}
	// Closing our half in good order commits what is acknowledged, and leaves the group.
	var handling sync.Mutex
	defer context.AfterFunc(stopping, func() {
		handling.Lock()
		defer handling.Unlock()
		stream.CloseSend()
	})()
	for {
		response, err := stream.Recv()
		if err != nil {
			return err
		}
		handling.Lock()
		if stopping.Err() == nil { // what comes after that goes to another member
			m.handle(response, stream, address)
		}
		handling.Unlock()
	}
}

func (m *member) start() *barnabas.SubscribeStart {
	start := &barnabas.SubscribeStart{GroupId: m.group, Topics: []string{m.topic}, InstanceId: m.instance, ClientId: "go",
		AutoOffsetReset: barnabas.AutoOffsetReset_AUTO_OFFSET_RESET_EARLIEST, AutoCommitIntervalMs: 1000}
	if m.id != "" {
		m.incarnation++
		start.Resume = &barnabas.SubscribeResume{MemberId: m.id, MemberEpoch: m.epoch, Incarnation: m.incarnation}
		for partition := range m.positions {
			start.Resume.Owned = append(start.Resume.Owned, m.position(partition))
		}
	}
	return start
}

func (m *member) position(partition int32) *barnabas.SubscribePosition {
	return &barnabas.SubscribePosition{Topic: m.topic, Partition: partition, Offset: m.positions[partition]}
}

func (m *member) handle(response *barnabas.SubscribeResponse, stream barnabas.GroupService_SubscribeClient, address string) {
	switch said := response.Response.(type) {
	case *barnabas.SubscribeResponse_Joined:
		m.id, m.epoch, m.incarnation = said.Joined.MemberId, said.Joined.MemberEpoch, said.Joined.Incarnation
		fmt.Println("joined", m.id, address)
	case *barnabas.SubscribeResponse_Assigned:
		m.epoch = said.Assigned.MemberEpoch
		line := "assigned"
		for _, one := range said.Assigned.Positions {
			m.positions[one.Partition] = one.Offset
			line += fmt.Sprintf(" %d@%d", one.Partition, one.Offset)
		}
		fmt.Println(line)
	case *barnabas.SubscribeResponse_Revoked: // what we acknowledged is committed; others go on from there
		m.gone("revoked", said.Revoked.Partitions)
	case *barnabas.SubscribeResponse_Lost:
		m.gone("lost", said.Lost.Partitions)
	case *barnabas.SubscribeResponse_Records:
		batch := said.Records
		for _, record := range batch.Records {
			fmt.Println(batch.Partition, record.Offset, string(record.Value))
		}
		m.positions[batch.Partition] = batch.NextOffset
		ack := &barnabas.SubscribeAck{Positions: []*barnabas.SubscribePosition{m.position(batch.Partition)}}
		stream.Send(&barnabas.SubscribeRequest{Request: &barnabas.SubscribeRequest_Ack{Ack: ack}})
	case *barnabas.SubscribeResponse_PartitionError:
		log.Print(said.PartitionError.Error.Message)
	}
}

func (m *member) gone(how string, partitions []*barnabas.GroupPartition) {
	for _, one := range partitions {
		delete(m.positions, one.Partition)
		how += fmt.Sprintf(" %d", one.Partition)
	}
	fmt.Println(how)
}
