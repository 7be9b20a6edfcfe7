//! Brings records to CloudWatch Logs or to S3.

use crate::api::ec2::{may_deliver, zone_id};
use crate::service::Service;
use belljar_domain::Timestamp;
use belljar_store::StoreError;
use belljar_store::logs::{self, LogEvent};
use belljar_store::objects::{Condition, Meta, ObjectError};
use belljar_vpc::flow_log::{Batch, Context, Format};
use belljar_vpc::id::FlowLogId;
use belljar_vpc::network::{Destination, FlowLog, TrafficType};
use flate2::Compression;
use flate2::write::GzEncoder;
use std::io::Write;
use time::OffsetDateTime;

/// Why records could not be delivered now: they can be later.
#[derive(Debug, thiserror::Error)]
pub(super) enum DeliverError {
    /// Of the logs.
    #[error(transparent)]
    Logs(#[from] StoreError),
    /// Of the objects.
    #[error(transparent)]
    Objects(#[from] ObjectError),
}

/// Lines of one interface, each with when it began.
struct Lines {
    interface: String,
    lines: Vec<(u64, String)>,
}

/// Brings a batch to where its flow log wants it; those of one that is gone go nowhere. Answers
/// what is wrong with the destination, where it is such that trying again would not help.
///
/// # Errors
/// If it is to be tried again.
pub(super) async fn deliver(
    service: &Service,
    batch: &Batch,
) -> Result<Option<String>, DeliverError> {
    let current = service.network.current();
    let Some(log) = current.flow_logs.get(&batch.flow_log) else { return Ok(None) };
    // It was read when it was made.
    let format: Format = log.format.parse().unwrap_or_default();
    let lines = lines(service, batch, &format);
    match &log.destination {
        Destination::Logs(group) => to_logs(service, group, log, lines).await,
        Destination::S3(arn) => to_s3(service, arn, batch, log, &format, &lines).await,
    }
}

fn lines(service: &Service, batch: &Batch, format: &Format) -> Vec<Lines> {
    let mut all = Vec::new();
    for (interface, of) in &batch.interfaces {
        let zone = zone_id(service, &of.place.zone);
        let context = Context {
            account: &service.config.account,
            region: &service.config.region,
            interface,
            place: &of.place,
            zone_id: zone.as_deref().unwrap_or("-"),
        };
        let line = |r: &belljar_vpc::flow_log::Record| (r.start, r.line(format, &context));
        let lines = of.records.iter().map(line).collect();
        all.push(Lines { interface: interface.to_string(), lines });
    }
    all
}

/// A stream an interface, `eni-…-all` (VPC User Guide, "Publish flow logs to CloudWatch Logs"),
/// made with its group where they are not there. The role that delivers may be gone by now.
async fn to_logs(
    service: &Service,
    group: &str,
    log: &FlowLog,
    lines: Vec<Lines>,
) -> Result<Option<String>, DeliverError> {
    if let Some(role) = &log.role
        && !service.db().read(|c| may_deliver(c, role))?
    {
        tracing::warn!(group, role, "a flow log's role cannot be assumed");
        return Ok(Some(format!("Access error: the role {role} cannot be assumed")));
    }
    let kind = match log.traffic {
        TrafficType::All => "all",
        TrafficType::Accept => "accept",
        TrafficType::Reject => "reject",
    };
    let (group, now) = (group.to_owned(), service.now());
    let write = service.db().write(move |c| {
        for Lines { interface, lines } in &lines {
            let event = |(start, line): &(u64, String)| LogEvent {
                at: Timestamp::from_millis(i64::try_from(start * 1000).unwrap_or(now.millis())),
                message: line.clone(),
            };
            let events: Vec<_> = lines.iter().map(event).collect();
            logs::append_creating(c, &group, &format!("{interface}-{kind}"), &events, now)?;
        }
        Ok::<_, StoreError>(())
    });
    write.await?;
    Ok(None)
}

/// One object a batch, a header and the lines of all interfaces.
async fn to_s3(
    service: &Service,
    arn: &str,
    batch: &Batch,
    log: &FlowLog,
    format: &Format,
    lines: &[Lines],
) -> Result<Option<String>, DeliverError> {
    let place = arn.strip_prefix("arn:aws:s3:::").unwrap_or(arn);
    let (bucket, folder) = place.split_once('/').unwrap_or((place, ""));
    let mut incoming = service.objects.receive(&[]);
    incoming.push(packed(format, lines).into()).await?;
    let received = incoming.finish().await?;
    // What was written is a part of the name: what is written again is the same object.
    let etag = received.etag();
    let hash: String = etag.chars().filter(char::is_ascii_hexdigit).take(8).collect();
    let (account, region) = (&service.config.account, &service.config.region);
    let key = format!("{}{}", folder_of(folder), key(account, region, batch, &hash));
    let meta = Meta { content_type: Some("application/x-gzip".into()), ..Meta::default() };
    let put = service.objects.put(bucket.to_owned(), key, received, meta, Condition::None).await;
    match put {
        Ok(_) => Ok(None),
        Err(ObjectError::NoSuchBucket) => {
            tracing::warn!(flow_log = %batch.flow_log, bucket, traffic = ?log.traffic, "no bucket");
            Ok(Some(format!("Access error: the bucket {bucket} does not exist")))
        }
        Err(e) => Err(e.into()),
    }
}

fn packed(format: &Format, lines: &[Lines]) -> Vec<u8> {
    let mut text = format.header();
    text.push('\n');
    for (_, line) in lines.iter().flat_map(|l| &l.lines) {
        text.push_str(line);
        text.push('\n');
    }
    let mut packer = GzEncoder::new(Vec::new(), Compression::default());
    // Writing to memory does not fail.
    let _ = packer.write_all(text.as_bytes());
    packer.finish().unwrap_or_default()
}

/// With the slash at its end, if it is not the bucket itself.
fn folder_of(folder: &str) -> String {
    let folder = folder.trim_end_matches('/');
    if folder.is_empty() { String::new() } else { format!("{folder}/") }
}

/// `AWSLogs/…` ("Flow log files").
fn key(account: &str, region: &str, batch: &Batch, hash: &str) -> String {
    let seconds = i64::try_from(batch.end).unwrap_or_default();
    let t = OffsetDateTime::from_unix_timestamp(seconds).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    let (year, month, day) = (t.year(), u8::from(t.month()), t.day());
    let flow_log: &FlowLogId = &batch.flow_log;
    format!(
        "AWSLogs/{account}/vpcflowlogs/{region}/{year:04}/{month:02}/{day:02}/\
         {account}_vpcflowlogs_{region}_{flow_log}_{year:04}{month:02}{day:02}T{:02}{:02}Z_\
         {hash}.log.gz",
        t.hour(),
        t.minute(),
    )
}
