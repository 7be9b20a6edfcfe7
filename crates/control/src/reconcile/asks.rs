//! What staging will ask of S3, as policies name it. Only what is sure to be asked: a job is not
//! refused for what it might not need.

use crate::execution::Principal;
use crate::service::Service;
use crate::service::via::asked;
use belljar_domain::endpoint::Variant;
use belljar_domain::serving::ModelForm;
use belljar_domain::{Assignment, DataType, OutputCompression};
use belljar_store::objects::Query;
use belljar_vpc::policy::Request;

/// How many objects are looked at for one that is no folder's marker.
const LOOKED_AT: usize = 8;

/// The requests of one caller, each once.
struct Asks<'a> {
    service: &'a Service,
    who: &'a Principal,
    all: Vec<Request>,
}

/// What is asked for a training job: its channels are listed and read, the place of its output is
/// listed, and its model written there. (The names of other files are not known before.)
pub(super) fn of_job(service: &Service, job: &Assignment, who: &Principal) -> Vec<Request> {
    let mut asks = Asks { service, who, all: Vec::new() };
    for channel in &job.channels {
        let Some((bucket, prefix)) = location(&channel.uri) else { continue };
        asks.list(bucket);
        match channel.data_type {
            DataType::S3Prefix => asks.get_first(bucket, prefix),
            DataType::ManifestFile | DataType::AugmentedManifestFile => asks.get(bucket, prefix),
        }
    }
    if let Some(checkpoints) = &job.checkpoints
        && let Some((bucket, prefix)) = location(&checkpoints.uri)
    {
        asks.list(bucket);
        asks.get_first(bucket, &folder(prefix));
    }
    if let Some((bucket, prefix)) = location(&job.output) {
        asks.list(bucket);
        if job.output_compression == OutputCompression::Gzip {
            let key = format!("{}{}/output/model.tar.gz", folder(prefix), job.job);
            asks.one("s3:PutObject", &format!("{bucket}/{key}"));
        }
    }
    asks.all
}

/// What is asked for an instance of an endpoint: its models are read.
pub(super) fn of_variant(service: &Service, variant: &Variant, who: &Principal) -> Vec<Request> {
    let mut asks = Asks { service, who, all: Vec::new() };
    for model in variant.containers.iter().filter_map(|c| c.model.as_ref()) {
        let Some((bucket, key)) = location(&model.uri) else { continue };
        match model.form {
            ModelForm::Archive | ModelForm::Object => asks.get(bucket, key),
            ModelForm::Prefix => {
                asks.list(bucket);
                asks.get_first(bucket, key);
            }
        }
    }
    asks.all
}

impl Asks<'_> {
    fn one(&mut self, action: &str, resource: &str) {
        let resource = format!("arn:aws:s3:::{resource}");
        let request = asked(self.who, &self.service.config.account, action, &resource);
        if !self.all.contains(&request) {
            self.all.push(request);
        }
    }

    fn list(&mut self, bucket: &str) {
        self.one("s3:ListBucket", bucket);
    }

    fn get(&mut self, bucket: &str, key: &str) {
        self.one("s3:GetObject", &format!("{bucket}/{key}"));
    }

    /// The first object that is there. If there is none the job ends for want of it.
    fn get_first(&mut self, bucket: &str, prefix: &str) {
        let query = Query { prefix: prefix.to_owned(), limit: LOOKED_AT, ..Query::default() };
        let Ok(listing) = self.service.objects.list(bucket, &query) else { return };
        let first = listing.entries.iter().find(|e| !e.name().ends_with('/'));
        if let Some(first) = first {
            self.get(bucket, first.name());
        }
    }
}

/// The bucket and the rest of `s3://bucket/rest`, which was checked before.
fn location(uri: &str) -> Option<(&str, &str)> {
    let rest = uri.strip_prefix("s3://")?;
    Some(rest.split_once('/').unwrap_or((rest, "")))
}

/// A prefix as a folder.
fn folder(prefix: &str) -> String {
    match prefix.trim_end_matches('/') {
        "" => String::new(),
        prefix => format!("{prefix}/"),
    }
}

#[cfg(test)]
#[path = "asks_tests.rs"]
mod tests;
