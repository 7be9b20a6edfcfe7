//! Records from a fabric to where they are wanted.

use super::*;
use crate::api::testing::Tested;
use belljar_aws::Service as Aws;
use belljar_domain::fabric::{FOLDER, SOCKET};
use belljar_store::logs::{Direction, Range};
use belljar_store::objects::{Entry, Query};
use belljar_vpc::flow_log::{DEFAULT, Interface, Place, Record, Status};
use belljar_vpc::id::VpcId;
use belljar_vpc::network::{Change, Destination, FlowLog, Monitored, Record as Kind, TrafficType};
use serde_json::json;
use std::io::{BufRead, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::mpsc;

const START: u64 = 1_795_439_640;

fn batch(flow_log: &str, start: u64) -> Batch {
    let place = Place {
        vpc: "vpc-1".parse().unwrap(),
        subnet: "subnet-1".parse().unwrap(),
        zone: "us-east-1a".to_owned(),
    };
    let record = Record { start, end: start + 60, status: Status::NoData };
    let interface = Interface { place, records: vec![record] };
    Batch {
        flow_log: flow_log.parse().unwrap(),
        start,
        end: start + 60,
        part: 0,
        interfaces: BTreeMap::from([("eni-1".parse().unwrap(), interface)]),
    }
}

/// Has the network a flow log of the default VPC.
async fn flow_log(t: &Tested, id: &str, destination: Destination, format: &str) {
    flow_log_of(t, id, destination, format, None).await;
}

async fn flow_log_of(
    t: &Tested,
    id: &str,
    destination: Destination,
    format: &str,
    role: Option<&str>,
) {
    let vpc: VpcId = t.service.network.current().vpcs.keys().next().unwrap().clone();
    let record = FlowLog {
        of: Monitored::Vpc(vpc),
        traffic: TrafficType::Reject,
        destination,
        format: format.to_owned(),
        interval: 60,
        role: role.map(str::to_owned),
    };
    let change = Change::Put(Kind::FlowLog(id.parse().unwrap(), record));
    let edit = t.service.network.edit(move |draft| {
        draft.apply(change);
        Ok(())
    });
    edit.await.unwrap();
}

fn events(service: &Service, group: &str, stream: &str) -> Vec<(i64, String)> {
    let (group, stream) = (group.to_owned(), stream.to_owned());
    let read = service.db().read(move |c| {
        belljar_store::logs::read(c, &group, &stream, Range::ALL, Direction::Forward(None), 99)
    });
    read.unwrap().events.into_iter().map(|e| (e.key.at, e.message)).collect()
}

#[tokio::test]
async fn to_a_group_of_logs_that_is_made() {
    let t = Tested::new().await;
    flow_log(&t, "fl-1", Destination::Logs("flows".into()), DEFAULT).await;
    assert_eq!(deliver::deliver(&t.service, &batch("fl-1", START)).await.unwrap(), None);
    let line = format!("2 123456789012 eni-1 - - - - - - - {START} {} - NODATA", START + 60);
    let at = i64::try_from(START * 1000).unwrap();
    assert_eq!(events(&t.service, "flows", "eni-1-reject"), [(at, line)]);
    // One that is gone says nothing more.
    assert_eq!(deliver::deliver(&t.service, &batch("fl-2", START)).await.unwrap(), None);
}

#[tokio::test]
async fn to_no_group_without_the_role_that_delivers() {
    let t = Tested::new().await;
    let role = "arn:aws:iam::123456789012:role/flows";
    let trust = json!({"Version": "2012-10-17", "Statement": [{"Effect": "Allow",
        "Action": "sts:AssumeRole", "Principal": {"Service": "vpc-flow-logs.amazonaws.com"}}]});
    let made = json!({"RoleName": "flows", "AssumeRolePolicyDocument": trust.to_string()});
    t.call(Aws::Iam, "CreateRole", made).await.unwrap();
    flow_log_of(&t, "fl-1", Destination::Logs("flows".into()), DEFAULT, Some(role)).await;
    assert_eq!(deliver::deliver(&t.service, &batch("fl-1", START)).await.unwrap(), None);
    t.call(Aws::Iam, "DeleteRole", json!({"RoleName": "flows"})).await.unwrap();
    let mark = Mark { fabric: 7, number: 1 };
    assert_eq!(deliver_all(&t.service, vec![batch("fl-1", START + 60)], mark).await, mark);
    let described = t.call(Aws::Ec2, "DescribeFlowLogs", json!({})).await.unwrap();
    let log = &described["FlowLogs"][0];
    assert_eq!(log["DeliverLogsStatus"], "FAILED");
    let told = format!("Access error: the role {role} cannot be assumed");
    assert_eq!(log["DeliverLogsErrorMessage"], told);
    assert_eq!(events(&t.service, "flows", "eni-1-reject").len(), 1);
}

#[tokio::test]
async fn to_a_bucket_under_awss_names() {
    let t = Tested::new().await;
    let arn = Destination::S3("arn:aws:s3:::flows/folder/".into());
    flow_log(&t, "fl-1", arn, "${version} ${az-id} ${log-status}").await;
    let mark = Mark { fabric: 7, number: 1 };
    assert_eq!(deliver_all(&t.service, vec![batch("fl-1", START)], mark).await, mark);
    let described = t.call(Aws::Ec2, "DescribeFlowLogs", json!({})).await.unwrap();
    let log = &described["FlowLogs"][0];
    assert_eq!(log["DeliverLogsStatus"], "FAILED");
    assert_eq!(log["DeliverLogsErrorMessage"], "Access error: the bucket flows does not exist");
    t.service.objects.create_bucket("flows".into()).await.unwrap();
    for _ in 0..2 {
        assert_eq!(deliver::deliver(&t.service, &batch("fl-1", START)).await.unwrap(), None);
    }
    let mut keys = keys(&t);
    assert_eq!(keys.len(), 1, "written again it is the same object: {keys:?}");
    let key = keys.remove(0);
    let before = "folder/AWSLogs/123456789012/vpcflowlogs/us-east-1/2026/11/23/\
        123456789012_vpcflowlogs_us-east-1_fl-1_20261123T1315Z_";
    let hash = key.strip_prefix(before).and_then(|k| k.strip_suffix(".log.gz"));
    assert_eq!(hash.map(str::len), Some(8), "{key}");
    let found = t.service.objects.get("flows", &key).unwrap();
    let mut packed = Vec::new();
    let mut chunks = found.body.chunks(0..found.info.size);
    while let Some(chunk) = chunks.next().await {
        packed.extend_from_slice(&chunk.unwrap());
    }
    let mut text = String::new();
    flate2::read::GzDecoder::new(packed.as_slice()).read_to_string(&mut text).unwrap();
    assert_eq!(text, "version az-id log-status\n4 use1-az1 NODATA\n");
}

fn keys(t: &Tested) -> Vec<String> {
    let page = t.service.objects.list("flows", &Query { limit: 9, ..Query::default() }).unwrap();
    let key = |entry| match entry {
        Entry::Object { key, .. } => Some(key),
        _ => None,
    };
    page.entries.into_iter().filter_map(key).collect()
}

/// A fabric that answers each question with the next of these, and tells what it was asked.
fn fabric(folder: &Path, answers: Vec<Answer>) -> mpsc::Receiver<Ask> {
    std::fs::create_dir_all(folder).unwrap();
    let listener = UnixListener::bind(folder.join(SOCKET)).unwrap();
    let (told, asked) = mpsc::channel();
    std::thread::spawn(move || {
        let mut held: Vec<UnixStream> = Vec::new();
        let mut answers = answers.into_iter();
        while let Ok((mut stream, _)) = listener.accept() {
            let mut line = String::new();
            std::io::BufReader::new(&stream).read_line(&mut line).unwrap();
            if told.send(serde_json::from_str(&line).unwrap()).is_err() {
                return;
            }
            match answers.next() {
                Some(answer) => {
                    writeln!(stream, "{}", serde_json::to_string(&answer).unwrap()).unwrap();
                }
                // It has nothing to say for now.
                None => held.push(stream),
            }
        }
    });
    asked
}

#[tokio::test]
async fn what_was_delivered_is_acknowledged_and_nothing_else() {
    let t = Tested::new().await;
    flow_log(&t, "fl-1", Destination::Logs("flows".into()), "${start}").await;
    let mark = |number| Mark { fabric: 7, number };
    let batches = vec![batch("fl-1", START), batch("fl-1", START + 60)];
    let answers = vec![
        Answer::Flows { batches, mark: mark(2) },
        Answer::Failed { why: "not now".into() },
        Answer::Flows { batches: vec![batch("fl-1", START + 120)], mark: mark(3) },
    ];
    let asked = fabric(&t.service.config.state.join(FOLDER), answers);
    let (service, _dir) = t.shared();
    let (stop, stopped) = watch::channel(false);
    let running = tokio::spawn(run(service.clone(), stopped));
    let (after, events) = tokio::task::spawn_blocking(move || {
        let after = |_| match asked.recv_timeout(Duration::from_secs(60)).unwrap() {
            Ask::Flows { after, flush: false, .. } => after,
            other => panic!("{other:?}"),
        };
        let after: Vec<_> = (0..4).map(after).collect();
        (after, events(&service, "flows", "eni-1-reject"))
    })
    .await
    .unwrap();
    assert_eq!(after, [None, Some(mark(2)), Some(mark(2)), Some(mark(3))]);
    let lines: Vec<_> = events.iter().map(|(_, line)| line.clone()).collect();
    assert_eq!(lines, [START, START + 60, START + 120].map(|s| s.to_string()));
    stop.send(true).unwrap();
    running.await.unwrap();
}
