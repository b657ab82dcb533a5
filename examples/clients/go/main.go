// Writes ten records to a topic and reads them back. Needs nothing but the code generated from proto/.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"os"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	barnabas "barnabas.example/quickstart/barnabas/v1"
)

func main() {
	address, topic := "127.0.0.1:7600", "greetings"
	if len(os.Args) > 2 {
		address, topic = os.Args[1], os.Args[2]
	}
	connection, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	check(err)
	defer connection.Close()
	client := barnabas.NewLogServiceClient(connection)

	var records []*barnabas.Record
	for n := range 10 {
		records = append(records, &barnabas.Record{Key: fmt.Appendf(nil, "key-%d", n%3), Value: fmt.Appendf(nil, "hello %d", n)})
	}
	entry := &barnabas.ProduceEntry{Topic: topic, Payload: &barnabas.ProduceEntry_Records{Records: &barnabas.RecordList{Records: records}}}
	reply, err := client.Produce(context.Background(), &barnabas.ProduceRequest{Entries: []*barnabas.ProduceEntry{entry}})
	check(err)
	for _, result := range reply.Results {
		if result.Error != nil {
			log.Fatalf("not written: %s", result.Error.Message)
		}
		fmt.Printf("wrote to partition %d from offset %d\n", result.Partition, result.BaseOffset)
	}

	start := &barnabas.StartPosition{Position: &barnabas.StartPosition_Earliest{Earliest: true}}
	stream, err := client.Consume(context.Background(), &barnabas.ConsumeRequest{Topic: topic, Start: start, StopAtEnd: true})
	check(err)
	for {
		message, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return
		}
		check(err)
		for _, record := range message.Records {
			fmt.Println(record.Partition, record.Offset, string(record.Key), string(record.Value))
		}
	}
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
