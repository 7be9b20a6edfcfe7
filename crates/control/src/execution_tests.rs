use super::*;
use crate::api::testing::{NOW, Tested};
use belljar_aws::Service as Aws;
use belljar_domain::endpoint::{Endpoint, Server};
use belljar_domain::training_job::{Definition, Progress};
use belljar_domain::{Timestamp, TrainingJob};
use belljar_store::endpoints;
use belljar_store::identity::{self, AccessKey, DEFAULT_ROLE};
use serde_json::{from_value, json};
use std::collections::BTreeMap;

const ACCOUNT: &str = "123456789012";
const ROLE: &str = "arn:aws:iam::123456789012:role/BelljarExecutionRole";
const AT: Timestamp = Timestamp::from_millis(NOW);

#[test]
fn a_record_that_says_nothing_of_isolation_gives_no_role_away() {
    let of = |isolation: Value| {
        of_request(&json!({"RoleArn": "r", "EnableNetworkIsolation": isolation})).unwrap()
    };
    assert!(of(json!(true)).isolated && of(json!(null)).isolated && of(json!("no")).isolated);
    assert!(!of(json!(false)).isolated);
    assert_eq!(of_request(&json!({"EnableNetworkIsolation": false})), None);
}

#[test]
fn a_session_acts_in_its_roles_name_whatever_the_path() {
    let role = "arn:aws:iam::1:role/service-role/Train";
    let who = Principal::executing(role, "1");
    assert_eq!(who.arn, "arn:aws:sts::1:assumed-role/Train/SageMaker");
    assert_eq!(who.of, role);
    let owner = Owner::Job { name: "j".into(), generation: 2 };
    let warden = Principal::known(&owner, "1");
    assert_eq!(warden.arn, "arn:aws:sts::1:assumed-role/belljar-warden/j-2");
}

/// A service with jobs `open` and `sealed`, and instances of an endpoint of both kinds.
async fn scene() -> Tested {
    let t = Tested::new().await;
    let write = t.service.db().write(|c| {
        for (name, isolated) in [("open", false), ("sealed", true)] {
            let request = json!({"RoleArn": ROLE, "EnableNetworkIsolation": isolated});
            let job = TrainingJob {
                name: name.parse().unwrap(),
                arn: name.into(),
                created: AT,
                modified: AT,
                definition: Definition {
                    request,
                    retries: 0,
                    max_pending_seconds: None,
                    vpc: None,
                },
                progress: Progress::accepted(AT),
            };
            jobs::create(c, &job, &assignment(name), &BTreeMap::new()).unwrap();
        }
        let progress = json!({"status": "InService", "current": null, "next": null});
        let endpoint = Endpoint {
            name: "e".into(),
            arn: "e".into(),
            created: AT,
            modified: AT,
            progress: from_value(progress).unwrap(),
        };
        endpoints::create(c, &endpoint, &BTreeMap::new()).unwrap();
        for (id, isolated) in [("i-1", json!(false)), ("i-2", json!(true)), ("i-3", Value::Null)] {
            let mut server = json!({
                "id": id, "endpoint": "e", "fleet": 1, "variant": "v", "zone": "z",
                "containers": 1, "tries": 0, "begun": AT, "role": ROLE, "isolated": isolated,
            });
            if server["isolated"].is_null() {
                server.as_object_mut().unwrap().remove("isolated");
            }
            let server: Server = from_value(server).unwrap();
            servers::record(c, &server, &[assignment(&format!("{id}-1"))])?;
        }
        Ok::<_, StoreError>(())
    });
    write.await.unwrap();
    t
}

fn assignment(name: &str) -> belljar_domain::Assignment {
    from_value(json!({
        "generation": 1, "job": name, "jobArn": "arn", "region": "us-east-1", "host": "algo-1",
        "instanceType": "ml.m5.large", "image": "digits", "output": "s3://b/o",
        "resources": {"cpuMillis": null, "memoryBytes": null, "processes": 64},
        "stop": {"maxRuntimeSeconds": 60, "graceSeconds": 30},
    }))
    .unwrap()
}

/// The key of an attempt's warden, which calls from now on.
async fn warden(t: &mut Tested, name: &str) -> AccessKey {
    let owner = Owner::Job { name: name.into(), generation: 1 };
    t.caller.owner = owner.clone();
    let make = t.service.db().write(move |c| identity::create_key(c, owner, AT, None));
    make.await.unwrap()
}

fn input(role: &str, session: &str) -> Value {
    json!({"RoleArn": role, "RoleSessionName": session})
}

#[tokio::test]
async fn a_warden_gets_its_own_execution_role_and_no_other() {
    let mut t = scene().await;
    let other = "arn:aws:iam::123456789012:role/Other";
    let write = t.service.db().write(move |c| {
        let role = identity::NewRole {
            name: "Other".into(),
            path: "/".into(),
            trust: "{}".into(),
            description: None,
            max_session: identity::DEFAULT_MAX_SESSION,
            tags: Vec::new(),
        };
        identity::create_role(c, ACCOUNT, role, AT)
    });
    write.await.unwrap();
    for name in ["open", "endpoints/i-1-1"] {
        warden(&mut t, name).await;
        let answer = t.call(Aws::Sts, "AssumeRole", input(ROLE, "SageMaker")).await.unwrap();
        let arn = format!("arn:aws:sts::{ACCOUNT}:assumed-role/{DEFAULT_ROLE}/SageMaker");
        assert_eq!(answer["AssumedRoleUser"]["Arn"], arn);
        for (role, session) in [(other, "SageMaker"), (ROLE, "me")] {
            let (code, message) = t.refused(Aws::Sts, "AssumeRole", input(role, session)).await;
            assert_eq!(code, "AccessDenied");
            assert!(message.contains("it is not its execution role"), "{message}");
        }
        let mut long = input(ROLE, "SageMaker");
        long["DurationSeconds"] = json!(3601);
        t.refused(Aws::Sts, "AssumeRole", long).await;
    }
}

#[tokio::test]
async fn a_warden_whose_container_is_isolated_or_is_not_known_gets_none() {
    let mut t = scene().await;
    for name in ["sealed", "endpoints/i-2-1", "endpoints/i-3-1"] {
        warden(&mut t, name).await;
        let (code, message) = t.refused(Aws::Sts, "AssumeRole", input(ROLE, "SageMaker")).await;
        assert_eq!(code, "AccessDenied");
        assert!(message.ends_with("is isolated (EnableNetworkIsolation)"), "{message}");
    }
    for name in ["nobody", "endpoints/i-9-1", "endpoints/", "i-1-1"] {
        warden(&mut t, name).await;
        t.refused(Aws::Sts, "AssumeRole", input(ROLE, "SageMaker")).await;
    }
}

#[tokio::test]
async fn a_session_ends_with_its_attempt() {
    let mut t = scene().await;
    warden(&mut t, "open").await;
    let answer = t.call(Aws::Sts, "AssumeRole", input(ROLE, "SageMaker")).await.unwrap();
    let id = answer["Credentials"]["AccessKeyId"].as_str().unwrap().to_owned();
    let find = |t: &Tested| t.service.db().read(|c| identity::find_key(c, &id)).unwrap();
    assert!(find(&t).is_some());
    let end = t.service.db().write(|c| identity::revoke_job_keys(c, "open", 1));
    end.await.unwrap();
    assert_eq!(find(&t), None);
    let (_, message) = t.refused(Aws::Sts, "AssumeRole", input(ROLE, "SageMaker")).await;
    assert!(message.ends_with("because its attempt has ended"), "{message}");
}

#[tokio::test]
async fn what_a_warden_does_is_done_by_the_role() {
    let t = scene().await;
    let of = |name: &str| {
        let owner = Owner::Job { name: name.into(), generation: 1 };
        t.service.db().read(|c| Principal::of(c, &owner, ACCOUNT)).unwrap()
    };
    let role = Principal::executing(ROLE, ACCOUNT);
    assert_eq!((of("open"), of("sealed")), (role.clone(), role.clone()));
    assert_eq!(of("endpoints/i-2-1"), role);
    assert!(of("nobody").arn.ends_with("/belljar-warden/nobody-1"));
}
