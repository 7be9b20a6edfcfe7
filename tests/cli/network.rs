//! The network, shown and explained, out of the state that a service keeps.

use crate::scene::Scene;
use belljar_domain::training_job::{Definition, Progress};
use belljar_domain::{VpcConfig, VpcPlacement};
use belljar_vpc::network::Attachment;
use belljar_vpc::{Description, sample};
use rusqlite::{Connection, params};
use serde_json::json;
use std::sync::Arc;

const ARN: &str = "arn:aws:sagemaker:us-east-1:123456789012:training-job";

/// The article's network in small, with three mistakes: the second zone's subnet has no route to S3,
/// its ACL lets no answers in, and the endpoint of the API has no private DNS.
const NETWORK: &str = "
vpc vpc-0a 10.0.0.0/16
subnet subnet-0a vpc-0a us-east-1a 10.0.1.0/24
subnet subnet-0b vpc-0a us-east-1b 10.0.2.0/24
subnet subnet-0c vpc-0a us-east-1a 10.0.9.0/28
group sg-0a vpc-0a
  egress tcp 443 pl-0a
  egress tcp 443 10.0.0.0/16
group sg-0b vpc-0a
  ingress tcp 443 sg-0a
acl acl-0b vpc-0a subnet-0b
  ingress 100 allow tcp 443 0.0.0.0/0
  egress 100 allow all 0.0.0.0/0
table rtb-0a vpc-0a subnet-0a
  pl-0a vpce-0a
table rtb-0c vpc-0a subnet-0c
  0.0.0.0/0 igw-0a
eni eni-0a subnet-0a 10.0.1.10 sg-0a managed
eni eni-0b subnet-0b 10.0.2.10 sg-0a managed
eni eni-0c subnet-0a 10.0.1.20 sg-0b managed
eni eni-0d subnet-0c 10.0.9.5 - forwards managed
igw igw-0a vpc-0a
eip eipalloc-0a 203.0.113.5 eni-0d 10.0.9.5
nat nat-0a subnet-0c eni-0d eipalloc-0a
list pl-0a com.amazonaws.us-east-1.s3 AWS 52.216.0.0/15
gateway vpce-0a vpc-0a com.amazonaws.us-east-1.s3 rtb-0a
interface vpce-0b vpc-0a com.amazonaws.us-east-1.sagemaker.api eni-0c
";

const NAMES: [(&str, &str); 5] = [
    ("vpc-0a", "prod"),
    ("subnet-0a", "private-a"),
    ("subnet-0b", "private-b"),
    ("sg-0a", "training"),
    ("sg-0b", "evil \u{1b}[2J</text>"),
];

/// A state as a service leaves it. The tables are those of `belljar_store`, which tests of the command
/// line do not know.
fn scene() -> Scene {
    let scene = Scene::new("normal");
    // Makes the database.
    assert_eq!(scene.run(&["keys", "list"]).code, 0);
    let c = Connection::open(scene.path("state/service/state.db")).unwrap();
    let mut description: Description = sample::read(NETWORK).unwrap();
    for (id, job) in [("eni-0a", "far"), ("eni-0b", "far"), ("eni-0c", "")] {
        let record = description.interfaces.get_mut(&id.parse().unwrap()).unwrap();
        let owner =
            if job.is_empty() { "vpce".to_owned() } else { format!("{ARN}/{job}/1/algo-1") };
        let attachment = Attachment { id: "eni-attach-0a".parse().unwrap(), owner };
        Arc::make_mut(record).attachment = Some(attachment);
    }
    for record in description.records() {
        let id = record.id();
        let put = "INSERT INTO network_record (kind, id, created, record) VALUES (?1, ?2, 0, ?3)";
        let json = serde_json::to_string(&record).unwrap();
        c.execute(put, params![id.kind(), id.as_str(), json]).unwrap();
    }
    c.execute("INSERT INTO network_generation VALUES (1, 1)", []).unwrap();
    for (id, name) in NAMES {
        c.execute("INSERT INTO tag (arn, key, value) VALUES (?1, 'Name', ?2)", [id, name]).unwrap();
    }
    job(&c, "far", &["subnet-0a", "subnet-0b"], Some(false));
    job(&c, "near", &["subnet-0b"], Some(true));
    job(&c, "alone", &[], None);
    scene
}

/// A job that is in a VPC, isolated or not, or in none.
fn job(c: &Connection, name: &str, subnets: &[&str], isolated: Option<bool>) {
    let vpc = isolated.map(|isolated| {
        let config = json!({"Subnets": subnets, "SecurityGroupIds": ["sg-0a"]});
        let config: VpcConfig = serde_json::from_value(config).unwrap();
        VpcPlacement { config, isolated }
    });
    let request = json!({"ResourceConfig": {"InstanceCount": 2}});
    let definition = Definition { request, retries: 0, max_pending_seconds: None, vpc };
    let put = "INSERT INTO training_job
        (name, arn, created, modified, status, finished, definition, assignment, progress)
        VALUES (?1, ?2, 0, 0, 'InProgress', FALSE, ?3, '{}', ?4)";
    let definition = serde_json::to_string(&definition).unwrap();
    let progress = serde_json::to_string(&Progress::default()).unwrap();
    c.execute(put, params![name, format!("{ARN}/{name}"), definition, progress]).unwrap();
}

#[test]
fn shown() {
    let scene = scene();
    insta::assert_snapshot!("network_show", scene.transcript(&["network", "show"]));
    let all = [
        scene.transcript(&["network", "show", "nowhere"]),
        scene.transcript(&["network", "map", "prod", "--port", "0"]),
        scene.transcript(&["network", "map", "prod", "--out", "prod.svg"]),
    ];
    insta::assert_snapshot!("network_other", all.join("\n\n"));
    let svg = std::fs::read_to_string(scene.path("prod.svg")).unwrap();
    assert_eq!(scene.run(&["network", "map"]).stdout, svg);
    assert!(svg.starts_with("<svg ") && svg.contains("private-a") && !svg.contains("l </text>"));
    let json = scene.run(&["network", "show", "vpc-0a", "--json"]).stdout;
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json[0]["zones"][0]["subnets"][0]["name"], "private-a");
}

#[test]
fn explained() {
    let scene = scene();
    let ask = |args: &[&str]| scene.transcript(&[&["explain", "--from"], args].concat());
    let way = ask(&["eni-0a", "--to", "s3"]);
    insta::assert_snapshot!("explain_passes", way);
    insta::assert_snapshot!("explain_differs", ask(&["far", "--to", "s3"]));
    insta::assert_snapshot!("explain_blocked", ask(&["eni-0b", "--to", "sagemaker.api"]));
    let sealed = [ask(&["near", "--to", "s3"]), ask(&["near", "--to", "10.0.1.20"])];
    insta::assert_snapshot!("explain_sealed", sealed.join("\n\n"));
    let all = [
        ask(&["10.0.1.10", "--to", "10.0.1.20:22", "--protocol", "udp"]),
        ask(&["eni-0a", "--to", "10.0.0.2", "--protocol", "icmp"]),
        ask(&["eni-0a", "--to", "db.corp.example.com:5432"]),
        ask(&["alone", "--to", "s3"]),
        ask(&["nobody", "--to", "s3"]),
        ask(&["eni-0a", "--to", "nowhere"]),
    ];
    insta::assert_snapshot!("explain_other", all.join("\n\n"));
    let answer = scene.run(&["explain", "--from", "eni-0b", "--to", "s3", "--json"]);
    assert_eq!(answer.code, 1);
    insta::assert_snapshot!("explain_json", answer.stdout);
}

#[test]
fn no_network() {
    let scene = Scene::new("normal");
    let all = [
        scene.transcript(&["network", "show"]),
        scene.transcript(&["explain", "--from", "j", "--to", "s3"]),
    ];
    insta::assert_snapshot!("no_network", all.join("\n\n"));
    assert!(!scene.path("state").exists(), "asking makes nothing");
}
