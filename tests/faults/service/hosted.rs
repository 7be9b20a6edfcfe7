//! Endpoints of a service that is killed, and what must be true of them whatever happened.

use super::scene::Service;
use crate::leftovers::{below, cgroups, users_of};
use crate::processes::{self, Process};
use crate::run::until;
use belljar_domain::endpoint::Server;
use belljar_testkit::Scene;
use rusqlite::{Connection, OpenFlags};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

const ROLE: &str = "arn:aws:iam::123456789012:role/BelljarExecutionRole";
/// The kernel takes processes and cgroups away in its own time, but it does.
const PATIENCE: Duration = Duration::from_secs(30);

/// Makes a configuration of one variant, of a model whose containers have `TURN` in their
/// environment; its name.
pub(crate) fn config(service: &Service<'_>, name: &str, turn: u32, count: u32) -> String {
    let container = json!({"Image": "probe", "Environment": {"TURN": turn.to_string()}});
    config_of(service, &format!("{name}-{turn}"), &container, count)
}

/// The same for any container.
pub(crate) fn config_of(
    service: &Service<'_>,
    name: &str,
    container: &Value,
    count: u32,
) -> String {
    let variant = json!({"VariantName": "v", "ModelName": name, "InitialInstanceCount": count,
        "InstanceType": "ml.m5.large"});
    let client = service.client();
    client.ask(
        "CreateModel",
        &json!({"ModelName": name, "ExecutionRoleArn": ROLE, "EnableNetworkIsolation": true,
            "PrimaryContainer": container}),
    );
    client.ask(
        "CreateEndpointConfig",
        &json!({"EndpointConfigName": name, "ProductionVariants": [variant]}),
    );
    name.to_owned()
}

/// Input of `CreateEndpoint` and of `UpdateEndpoint`.
pub(crate) fn wanted(name: &str, config: &str) -> Value {
    json!({"EndpointName": name, "EndpointConfigName": config})
}

/// Input of `DeleteEndpoint`.
pub(crate) fn named(name: &str) -> Value {
    json!({"EndpointName": name})
}

/// Waits until an endpoint is in service, with nothing more to come.
pub(crate) fn until_in_service(service: &Service<'_>, name: &str) {
    until(&format!("{name} is in service"), || {
        let answer = service.client().sagemaker("DescribeEndpoint", &named(name)).unwrap();
        // The service may have been killed before it answered: it is asked again.
        let found = (answer.status == 200).then(|| answer.value())?;
        let status = found["EndpointStatus"].as_str().unwrap();
        assert_ne!(status, "Failed", "{found:#}\n{}", service.said());
        (status == "InService").then_some(())
    });
}

/// Waits until there is no such endpoint.
pub(crate) fn until_gone(service: &Service<'_>, name: &str) {
    until(&format!("{name} is gone"), || {
        let answer = service.client().sagemaker("DescribeEndpoint", &named(name)).unwrap();
        (answer.status != 200).then_some(())
    });
}

/// Invokes, and holds that the containers are of that turn.
pub(crate) fn assert_answers(service: &Service<'_>, name: &str, turn: u32) {
    for _ in 0..4 {
        let answer = service.client().invoke(name, "environment").unwrap();
        let body = String::from_utf8_lossy(&answer.body);
        assert_eq!(answer.status, 200, "{body}\n{}", service.said());
        assert!(body.contains(&format!("TURN={turn}\n")), "{body}");
    }
}

fn state(scene: &Scene) -> Connection {
    let path = scene.state().join("service/state.db");
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let db = Connection::open_with_flags(path, flags).unwrap();
    db.busy_timeout(Duration::from_secs(10)).unwrap();
    db
}

/// The instances of all endpoints, as they are recorded.
pub(crate) fn servers(scene: &Scene) -> Vec<Server> {
    let db = state(scene);
    let mut all = db.prepare("SELECT server FROM server ORDER BY begun, id").unwrap();
    let texts = all.query_map([], |row| row.get::<_, String>(0)).unwrap();
    texts.map(|text| serde_json::from_str(&text.unwrap()).unwrap()).collect()
}

/// Where the first container of an instance has its files.
pub(crate) fn folder(scene: &Scene, server: &Server) -> PathBuf {
    scene.state().join("endpoints").join(format!("{}-1", server.id))
}

/// The warden of an instance's first container.
pub(crate) fn warden(scene: &Scene, server: &Server) -> Process {
    let start = format!("run --job {}", folder(scene, server).display());
    until("a warden", || processes::all().into_iter().find(|p| p.command().contains(&start)))
}

/// Exactly `count` instances are recorded once all is as it should be, each begun by one warden,
/// and there are no other folders.
pub(crate) fn assert_instances(scene: &Scene, count: usize) -> Vec<Server> {
    let all = until("as many instances as are wanted, and their folders", || {
        let all = servers(scene);
        let theirs: BTreeSet<_> = all.iter().map(|s| folder(scene, s)).collect();
        (all.len() == count && theirs == folders(scene)).then_some(all)
    });
    for server in &all {
        let text = fs::read_to_string(folder(scene, server).join("journal.jsonl")).unwrap();
        let begun = |l: &&str| l.contains("\"image\"") && l.contains("\"begun\"");
        assert_eq!(text.lines().filter(begun).count(), 1, "{text}");
    }
    all
}

fn folders(scene: &Scene) -> BTreeSet<PathBuf> {
    let found = fs::read_dir(scene.state().join("endpoints")).into_iter().flatten();
    found.map(|e| e.unwrap().path()).collect()
}

/// Everything that there ever was of these endpoints is gone, but for their evidence and logs.
/// `ids` are of instances that were seen on the way.
pub(crate) fn assert_nothing(scene: &Scene, ids: &BTreeSet<String>) {
    let began = Instant::now();
    loop {
        let found = left(scene, ids);
        if found.is_empty() {
            return;
        }
        assert!(began.elapsed() < PATIENCE, "left behind:\n{}", found.join("\n"));
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn left(scene: &Scene, ids: &BTreeSet<String>) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    let above = scene.state().join("endpoints");
    found.extend(below(&above).iter().map(|p| format!("file {}", p.display())));
    found.extend(users_of(&above));
    found.extend(ids.iter().flat_map(|id| cgroups(&format!("{id}-1"))));
    let db = state(scene);
    for (what, sql) in [
        ("endpoints", "SELECT count(*) FROM endpoint"),
        ("instances", "SELECT count(*) FROM server"),
        ("containers", "SELECT count(*) FROM server_container"),
        ("keys", "SELECT count(*) FROM access_key WHERE name LIKE 'endpoints/%'"),
    ] {
        let count: i64 = db.query_row(sql, [], |row| row.get(0)).unwrap();
        if count > 0 {
            found.push(format!("{count} {what}"));
        }
    }
    found
}
