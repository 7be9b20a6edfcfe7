//! A service that is watched, killed and started again, and the jobs that it is given.

use super::client::Client;
use crate::leftovers::{Footprint, assert_none};
use crate::processes::{self, Process};
use crate::run::until;
use belljar_testkit::Scene;
use serde_json::{Value, json};
use std::fs::{self, File};
use std::process::{Child, Stdio};

/// Lines that a talking job prints: more bytes than one segment of its spool holds.
pub(crate) const LINES: usize = 3000;
/// Bytes of each line.
const LINE_BYTES: usize = 500;
/// Bytes of the model that it writes.
pub(crate) const MODEL_BYTES: u64 = 200_000;
pub(crate) const BUCKET: &str = "fault-tests";

/// `belljar up` while it lives.
pub(crate) struct Service<'s> {
    scene: &'s Scene,
    child: Child,
    client: Client,
}

impl<'s> Service<'s> {
    /// Starts one on the scene's state, and waits until it answers.
    pub(crate) fn start(scene: &'s Scene, variables: &[(&str, &str)]) -> Self {
        let address = scene.state().join("service/address.json");
        let _ = fs::remove_file(&address);
        let mut command = scene.belljar(&["up", "--listen", "127.0.0.1:0"]);
        let log = File::options().create(true).append(true).open(scene.path().join("service.log"));
        let log = log.unwrap();
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        let mut child = command.envs(variables.iter().copied()).spawn().unwrap();
        until("the service listens", || {
            if let Some(status) = child.try_wait().unwrap() {
                panic!("the service ended ({status}): {}", said(scene));
            }
            address.exists().then_some(())
        });
        let env = scene.belljar(&["env"]).output().unwrap();
        let client = Client::of_env(&String::from_utf8(env.stdout).unwrap());
        let service = Self { scene, child, client };
        let made = service.client.s3("PUT", &format!("/{BUCKET}"));
        assert!([200, 409].contains(&made.status), "{}", String::from_utf8_lossy(&made.body));
        service
    }

    /// Who calls it.
    pub(crate) fn client(&self) -> &Client {
        &self.client
    }

    /// Its own words.
    pub(crate) fn said(&self) -> String {
        said(self.scene)
    }

    fn process(&self) -> Process {
        let pid = i32::try_from(self.child.id()).unwrap();
        processes::all().into_iter().find(|p| p.pid == pid).unwrap()
    }

    /// Waits until it has stopped itself.
    pub(crate) fn until_stopped(&mut self, place: &str) {
        until(place, || {
            if let Some(status) = self.child.try_wait().unwrap() {
                panic!("the service ended ({status}) before {place}: {}", said(self.scene));
            }
            self.process().is_stopped().then_some(())
        });
    }

    /// Kills it.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Sends a request that the service may not live to answer.
    pub(crate) fn send(&self, operation: &'static str, input: Value) {
        let client = self.client.clone();
        std::thread::spawn(move || client.sagemaker(operation, &input));
    }

    /// `DescribeTrainingJob`.
    pub(crate) fn describe(&self, job: &str) -> Value {
        self.client.ask("DescribeTrainingJob", &json!({"TrainingJobName": job}))
    }

    /// Waits until a job has that status, secondary or not.
    pub(crate) fn until_status(&self, job: &str, wanted: &str) -> Value {
        until(&format!("{job} is {wanted}"), || {
            let found = self.describe(job);
            let is = |key: &str| found[key] == wanted;
            let over = ["Completed", "Failed", "Stopped"];
            let ended = over.iter().any(|s| found["TrainingJobStatus"] == *s);
            if is("TrainingJobStatus") || is("SecondaryStatus") {
                return Some(found);
            }
            assert!(!ended, "{job} should become {wanted}: {found:#}\n{}", said(self.scene));
            None
        })
    }

    /// Waits until the container of an attempt has said that it waits.
    pub(crate) fn until_waiting(&self, job: &str, attempt: usize) {
        until(&format!("{job} waits in attempt {attempt}"), || {
            let streams = self.client.logs(job);
            let last = streams.get(attempt - 1)?;
            last.iter().any(|l| l == "waiting for TERM").then_some(())
        });
    }

    /// Asks a job to stop.
    pub(crate) fn stop_job(&self, job: &str) {
        let answer =
            self.client.sagemaker("StopTrainingJob", &json!({"TrainingJobName": job})).unwrap();
        assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.body));
    }

    /// Asks for an endpoint's deletion.
    pub(crate) fn delete(&self, endpoint: &str) {
        let input = json!({"EndpointName": endpoint});
        let answer = self.client.sagemaker("DeleteEndpoint", &input).unwrap();
        assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.body));
    }

    /// A job's warden.
    pub(crate) fn warden(&self, job: &str) -> Process {
        let folder = self.scene.state().join("jobs").join(job);
        let start = format!("run --job {}", folder.display());
        until("the warden", || {
            let ours = |p: &Process| p.command().contains(&start);
            processes::all().into_iter().find(ours)
        })
    }
}

impl Drop for Service<'_> {
    fn drop(&mut self) {
        // Only a failed test leaves it running.
        let _ended = self.child.kill().and_then(|()| self.child.wait());
    }
}

/// The service's own words.
fn said(scene: &Scene) -> String {
    fs::read_to_string(scene.path().join("service.log")).unwrap_or_default()
}

/// A job whose container runs the probe.
pub(crate) fn job(name: &str, probe: &[&str], retries: u32) -> Value {
    let mut job = json!({
        "TrainingJobName": name,
        "AlgorithmSpecification": {
            "TrainingImage": "probe", "TrainingInputMode": "File", "ContainerArguments": probe,
        },
        "RoleArn": "arn:aws:iam::123456789012:role/BelljarExecutionRole",
        "OutputDataConfig": {"S3OutputPath": format!("s3://{BUCKET}/out")},
        "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1},
        "StoppingCondition": {"MaxRuntimeInSeconds": 600},
        "EnableNetworkIsolation": true,
    });
    if retries > 0 {
        job["RetryStrategy"] = json!({"MaximumRetryAttempts": retries});
    }
    job
}

/// A job that prints its lines and writes a model.
pub(crate) fn talking(name: &str) -> Value {
    let (lines, bytes, model) =
        (LINES.to_string(), LINE_BYTES.to_string(), MODEL_BYTES.to_string());
    job(name, &["talk", &lines, &bytes, &model], 0)
}

/// Everything about a talking job that has ended well.
pub(crate) fn assert_talked(service: &Service<'_>, name: &str) {
    let found = service.until_status(name, "Completed");
    assert_statuses(&found, &["Starting", "Downloading", "Training", "Uploading", "Completed"]);
    let streams = service.client().logs(name);
    assert_eq!(streams.len(), 1, "one attempt, one stream");
    let lines: Vec<&String> = streams[0].iter().filter(|l| l.starts_with("line ")).collect();
    assert_eq!(lines.len(), LINES);
    for (i, line) in lines.iter().enumerate() {
        assert!(line.starts_with(&format!("line {} ", i + 1)), "line {}: {line}", i + 1);
    }
    let uri = found["ModelArtifacts"]["S3ModelArtifacts"].as_str().unwrap();
    assert_eq!(uri, format!("s3://{BUCKET}/out/{name}/output/model.tar.gz"));
    let model = service.client().s3("GET", uri.strip_prefix("s3:/").unwrap());
    assert_eq!(model.status, 200);
    let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(&model.body[..]));
    let sizes: Vec<u64> = archive.entries().unwrap().map(|e| e.unwrap().size()).collect();
    assert_eq!(sizes.iter().sum::<u64>(), MODEL_BYTES, "{sizes:?}");
    assert_begun_once(service, name);
}

/// The folder of an attempt was begun by one warden.
fn assert_begun_once(service: &Service<'_>, folder: &str) {
    let journal = service.scene.state().join("jobs").join(folder).join("journal.jsonl");
    let text = fs::read_to_string(journal).unwrap();
    let begun = |l: &&str| l.contains("\"image\"") && l.contains("\"begun\"");
    assert_eq!(text.lines().filter(begun).count(), 1, "{text}");
}

/// The transitions, in order, each but the last ended; one that waited for capacity may be left
/// out of `wanted`.
pub(crate) fn assert_statuses(found: &Value, wanted: &[&str]) {
    let all = found["SecondaryStatusTransitions"].as_array().unwrap();
    let names: Vec<&str> = all.iter().map(|t| t["Status"].as_str().unwrap()).collect();
    let seen: Vec<&str> = names.into_iter().filter(|n| *n != "Pending").collect();
    assert_eq!(seen, wanted, "{found:#}");
    assert!(all.iter().all(|t| t["EndTime"].is_number()), "{found:#}");
}

/// The service is gone, and with it everything of the job's but records and artifacts. One that
/// was killed just then leaves it to the next.
pub(crate) fn assert_clean(service: Service<'_>, job: &str) {
    let scene = service.scene;
    service.kill();
    let next = Service::start(scene, &[]);
    let folder = scene.state().join("jobs").join(job);
    until("the spool is removed", || (!folder.join("events").exists()).then_some(()));
    until("the orders are removed", || (!folder.join("orders").exists()).then_some(()));
    next.kill();
    assert_none(scene, job, &Footprint::default());
}
