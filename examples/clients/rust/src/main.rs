//! A member of a group: shares the partitions of a topic, prints their records, and acknowledges them.
//!
//!     cargo run -- HOST:PORT[,HOST:PORT...] GROUP TOPIC [INSTANCE]

use std::{collections::BTreeMap, env, fmt::Display, time::Duration};

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::{Code, Status, transport::Endpoint};

use barnabas::group_service_client::GroupServiceClient;
use barnabas::{subscribe_request::Request, subscribe_response::Response, *};

mod barnabas {
    tonic::include_proto!("barnabas.v1");
}

#[derive(Default)]
struct Member {
    group: String,
    topic: String,
    instance: String,
    /// Of the partitions that are ours: the next offset.
    positions: BTreeMap<i32, i64>,
    /// Who we are, to go on with when a stream breaks.
    id: String,
    epoch: i32,
    incarnation: i32,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [addresses, group, topic, instance @ ..] = &arguments[..] else {
        return Err("usage: group HOST:PORT[,HOST:PORT...] GROUP TOPIC [INSTANCE]".into());
    };
    let instance = instance.first().cloned().unwrap_or_default();
    let mut member = Member { group: group.clone(), topic: topic.clone(), instance, ..Default::default() };
    let mut stops = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    for address in addresses.split(',').cycle() {
        match member.subscribe(address, &mut stops).await {
            Ok(()) => break,
            Err(status) => match status.code() {
                Code::InvalidArgument | Code::FailedPrecondition | Code::Unimplemented | Code::PermissionDenied
                | Code::Unauthenticated => return Err(status.into()),
                _ => eprintln!("{address}: {}", status.message()),
            },
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    Ok(())
}

impl Member {
    /// One stream, until it breaks, or we have left.
    async fn subscribe(&mut self, address: &str, stops: &mut (Signal, Signal)) -> Result<(), Status> {
        // A node that is gone without a word is noticed.
        let endpoint = Endpoint::from_shared(format!("http://{address}")).map_err(unavailable)?;
        let endpoint = endpoint.http2_keep_alive_interval(Duration::from_secs(10)).keep_alive_timeout(Duration::from_secs(5));
        let mut client = GroupServiceClient::new(endpoint.connect().await.map_err(unavailable)?);
        let (requests, said) = unbounded_channel();
        say(&requests, Request::Start(self.start()));
        let mut requests = Some(requests);
        let mut answers = client.subscribe(UnboundedReceiverStream::new(said)).await?.into_inner();
        loop {
            tokio::select! {
                answer = answers.message() => match (answer?.and_then(|answer| answer.response), &requests) {
                    (Some(response), Some(requests)) => self.handle(response, requests, address),
                    (Some(_), None) => {} // what comes after we have left goes to another member
                    (None, _) => return Ok(()),
                },
                // Closing our half in good order commits what is acknowledged, and leaves the group.
                _ = stops.0.recv() => requests = None,
                _ = stops.1.recv() => requests = None,
            }
        }
    }

    fn start(&mut self) -> SubscribeStart {
        let resume = (!self.id.is_empty()).then(|| {
            self.incarnation += 1;
            let owned = self.positions.keys().map(|&partition| self.position(partition)).collect();
            SubscribeResume { member_id: self.id.clone(), member_epoch: self.epoch, incarnation: self.incarnation, owned }
        });
        SubscribeStart {
            group_id: self.group.clone(),
            topics: vec![self.topic.clone()],
            instance_id: self.instance.clone(),
            client_id: "rust".into(),
            auto_offset_reset: AutoOffsetReset::Earliest as i32,
            auto_commit_interval_ms: 1000,
            resume,
            ..Default::default()
        }
    }

    fn position(&self, partition: i32) -> SubscribePosition {
        SubscribePosition { topic: self.topic.clone(), partition, offset: self.positions[&partition], ..Default::default() }
    }

    fn handle(&mut self, response: Response, requests: &UnboundedSender<SubscribeRequest>, address: &str) {
        match response {
            Response::Joined(joined) => {
                println!("joined {} {address}", joined.member_id);
                (self.id, self.epoch, self.incarnation) = (joined.member_id, joined.member_epoch, joined.incarnation);
            }
            Response::Assigned(assigned) => {
                self.epoch = assigned.member_epoch;
                self.positions.extend(assigned.positions.iter().map(|one| (one.partition, one.offset)));
                print("assigned", assigned.positions.iter().map(|one| format!("{}@{}", one.partition, one.offset)));
            }
            // What we acknowledged is committed; others go on from there.
            Response::Revoked(revoked) => self.gone("revoked", revoked.partitions),
            Response::Lost(lost) => self.gone("lost", lost.partitions),
            Response::Records(batch) => {
                for record in &batch.records {
                    println!("{} {} {}", batch.partition, record.offset, String::from_utf8_lossy(record.value()));
                }
                self.positions.insert(batch.partition, batch.next_offset);
                say(requests, Request::Ack(SubscribeAck { positions: vec![self.position(batch.partition)] }));
            }
            Response::PartitionError(problem) => eprintln!("{}", problem.error.unwrap_or_default().message),
            Response::Committed(_) | Response::Sought(_) => {}
        }
    }

    fn gone(&mut self, how: &str, partitions: Vec<GroupPartition>) {
        self.positions.retain(|partition, _| !partitions.iter().any(|gone| gone.partition == *partition));
        print(how, partitions.iter().map(|gone| gone.partition));
    }
}

fn say(requests: &UnboundedSender<SubscribeRequest>, request: Request) {
    let _ = requests.send(SubscribeRequest { request: Some(request) }); // a stream that broke is heard of by its answers
}

fn print(what: &str, partitions: impl Iterator<Item = impl Display>) {
    println!("{what}{}", partitions.map(|one| format!(" {one}")).collect::<String>());
}

fn unavailable(error: impl Display) -> Status {
    Status::unavailable(error.to_string())
}
