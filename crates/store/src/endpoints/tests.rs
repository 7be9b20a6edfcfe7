use super::async_requests::{AsyncRequest, Count, Headers};
use super::records::{Kind, Record};
use super::*;
use crate::jobs::{Position, tags};
use crate::list::{Order, SortBy};
use belljar_domain::endpoint::{Deployment, EndpointStatus, Health, Server};
use belljar_domain::{Assignment, HostName, Resources, StopPolicy};
use std::num::NonZeroU32;

fn at(ms: i64) -> Timestamp {
    Timestamp::from_millis(ms)
}

fn state() -> Connection {
    let c = Connection::open_in_memory().unwrap();
    c.execute_batch(&crate::schema::STATE.concat()).unwrap();
    c.pragma_update(None, "foreign_keys", true).unwrap();
    c
}

fn endpoint(name: &str, created: i64) -> Endpoint {
    let deployment = Deployment { config: "c".into(), variants: Vec::new(), asynchronous: None };
    Endpoint {
        name: name.into(),
        arn: format!("arn:x:{}", name.to_lowercase()),
        created: at(created),
        modified: at(created),
        progress: EndpointProgress::creating(deployment, at(created)),
    }
}

fn one_tag() -> BTreeMap<String, String> {
    BTreeMap::from([("k".to_owned(), "v".to_owned())])
}

#[test]
fn an_endpoint_is_found_until_it_is_removed() {
    let c = state();
    create(&c, &endpoint("Ab", 1), &one_tag()).unwrap();
    let used = create(&c, &endpoint("aB", 2), &one_tag()).unwrap_err();
    assert!(matches!(used, RecordError::Used(arn) if arn == "arn:x:ab"));
    assert_eq!(get(&c, "Ab").unwrap().unwrap(), endpoint("Ab", 1));
    assert!(get(&c, "ab").unwrap().is_none());
    assert_eq!(by_arn(&c, "arn:x:ab").unwrap().as_deref(), Some("Ab"));
    assert_eq!(unsettled(&c).unwrap().len(), 1);
    let settle = |p: &mut EndpointProgress| {
        p.status = EndpointStatus::InService;
        true
    };
    assert_eq!(update(&c, "Ab", at(5), settle).unwrap().unwrap().modified, at(5));
    assert_eq!(update(&c, "Ab", at(6), |_| false).unwrap().unwrap().modified, at(5));
    assert!(update(&c, "ab", at(6), settle).unwrap().is_none());
    assert!(unsettled(&c).unwrap().is_empty());
    assert_eq!(all(&c).unwrap().len(), 1);
    assert!(delete(&c, "Ab").unwrap() && !delete(&c, "Ab").unwrap());
    assert!(tags(&c, "arn:x:ab").unwrap().is_empty());
}

#[test]
fn endpoints_are_listed_by_status_too() {
    let c = state();
    for (name, created) in [("b", 1), ("a", 2), ("c", 3)] {
        create(&c, &endpoint(name, created), &BTreeMap::new()).unwrap();
    }
    let fail = |p: &mut EndpointProgress| {
        p.status = EndpointStatus::Failed;
        true
    };
    update(&c, "b", at(9), fail).unwrap();
    let names = |filter: Filter| {
        let page = list(&c, &filter).unwrap();
        page.items.into_iter().map(|e| e.name).collect::<String>()
    };
    let base = Filter { limit: 9, ..Filter::default() };
    assert_eq!(names(Filter { status: Some("Creating"), ..base.clone() }), "ac");
    assert_eq!(names(Filter { modified_after: Some(at(8)), ..base.clone() }), "b");
    assert_eq!(names(Filter { sort_by: SortBy::Status, ..base }), "acb");
}

#[test]
fn models_and_configurations_are_kept_apart() {
    let c = state();
    let record = |name: &str, created| Record {
        name: name.into(),
        arn: format!("arn:{}", name.to_lowercase()),
        created: at(created),
        request: serde_json::json!({"Name": name}),
    };
    for (name, created) in [("One", 1), ("two", 2), ("three", 2)] {
        records::create(&c, Kind::Model, &record(name, created), &one_tag()).unwrap();
    }
    records::create(&c, Kind::EndpointConfig, &record("one", 1), &BTreeMap::new()).unwrap();
    let again = records::create(&c, Kind::Model, &record("ONE", 3), &one_tag());
    assert!(matches!(again, Err(RecordError::Used(arn)) if arn == "arn:one"));
    let found = |kind, name| records::get(&c, kind, name).unwrap();
    assert_eq!(found(Kind::Model, "One"), Some(record("One", 1)));
    assert!(found(Kind::Model, "one").is_none() && found(Kind::EndpointConfig, "one").is_some());
    let mut filter = Filter { order: Order::Descending, limit: 2, ..Filter::default() };
    let first = records::list(&c, Kind::Model, &filter).unwrap();
    assert_eq!(first.items[0].name, "three");
    filter.after = first.next;
    let rest = records::list(&c, Kind::Model, &filter).unwrap();
    assert_eq!((rest.items[0].name.as_str(), rest.items.len(), rest.next), ("One", 1, None));
    records::delete(&c, Kind::Model, "two").unwrap();
    assert!(!records::is_arn(&c, Kind::Model, "arn:two").unwrap());
    assert!(records::is_arn(&c, Kind::Model, "arn:one").unwrap());
    let gone = records::delete(&c, Kind::Model, "two");
    assert!(matches!(gone, Err(RecordError::NotFound)));
}

fn server(id: &str) -> Server {
    Server {
        id: id.into(),
        endpoint: "e".into(),
        fleet: 1,
        variant: "v".into(),
        zone: "z".into(),
        containers: 2,
        tries: 0,
        begun: at(4),
        stopping: None,
        role: None,
        isolated: true,
    }
}

fn assignment(job: &str) -> Assignment {
    serde_json::from_value(serde_json::json!({
        "generation": 1, "job": job, "jobArn": "arn", "region": "r",
        "host": HostName::algo(NonZeroU32::MIN), "instanceType": "local", "image": "i",
        "output": "o",
        "resources": Resources { cpu_millis: None, memory_bytes: None, processes: 1 },
        "stop": StopPolicy::default(),
    }))
    .unwrap()
}

#[test]
fn servers_and_their_containers_come_and_go() {
    let c = state();
    let containers = [assignment("i-1-1"), assignment("i-1-2")];
    assert!(servers::record(&c, &server("i-1"), &containers).is_err(), "there is no endpoint");
    create(&c, &endpoint("e", 1), &BTreeMap::new()).unwrap();
    servers::record(&c, &server("i-1"), &containers).unwrap();
    assert!(servers::record(&c, &server("i-1"), &containers).is_err(), "it is there already");
    servers::record(&c, &server("i-2"), &[]).unwrap();
    let to = Position { segment: 2, offset: 9 };
    servers::advance(&c, "i-1", 2, to).unwrap();
    let health = Health { healthy: false, why: "it is late".into(), at: at(6) };
    servers::set_health(&c, "i-1", 1, &health).unwrap();
    let found = servers::containers(&c, "i-1").unwrap();
    assert_eq!(found[0].assignment, containers[0]);
    assert_eq!((found[0].number, found[0].health.as_ref()), (1, Some(&health)));
    assert_eq!(found[0].position, Position { segment: 1, offset: 0 });
    assert_eq!((found[1].position, &found[1].health), (to, &None));
    assert_eq!(servers::container(&c, "i-1", 2).unwrap().as_ref(), Some(&found[1]));
    assert!(servers::container(&c, "i-1", 3).unwrap().is_none());
    servers::set_stopping(&c, "i-2", at(7)).unwrap();
    servers::set_stopping(&c, "i-2", at(8)).unwrap();
    servers::set_stopping(&c, "i-3", at(8)).unwrap();
    let of = servers::of_endpoint(&c, "e").unwrap();
    assert_eq!(of, servers::all(&c).unwrap());
    assert_eq!((of[0].stopping, of[1].stopping), (None, Some(at(7))));
    assert!(servers::of_endpoint(&c, "f").unwrap().is_empty());
    assert!(delete(&c, "e").is_err(), "it has servers");
    for id in ["i-1", "i-2", "i-3"] {
        servers::remove(&c, id).unwrap();
    }
    assert!(servers::containers(&c, "i-1").unwrap().is_empty());
    assert!(delete(&c, "e").unwrap());
}

#[test]
fn requests_are_carried_out_once_and_in_order() {
    let c = state();
    create(&c, &endpoint("e", 1), &BTreeMap::new()).unwrap();
    let request = |id: &str, expires| AsyncRequest {
        id: id.into(),
        endpoint: "e".into(),
        input: "s3://bucket/in".into(),
        output: "s3://bucket/out".into(),
        failure: None,
        headers: Headers { accept: Some("text/csv".into()), ..Headers::default() },
        inference_id: "x".into(),
        created: at(1),
        expires: at(expires),
        timeout_seconds: 900,
    };
    for (id, expires) in [("b", 100), ("a", 100), ("late", 5), ("c", 100)] {
        async_requests::enqueue(&c, &request(id, expires)).unwrap();
    }
    let take = |now, limit| {
        let taken = async_requests::take(&c, "e", at(now), limit).unwrap();
        taken.into_iter().map(|t| (t.request.id, t.tries)).collect::<Vec<_>>()
    };
    assert_eq!(take(9, 2), [("b".to_owned(), 1), ("a".to_owned(), 1)]);
    assert_eq!(async_requests::count(&c, "e").unwrap(), Count { queued: 2, running: 2 });
    assert!(async_requests::take_expired(&c, at(9), 0).unwrap().is_empty());
    let expired = async_requests::take_expired(&c, at(9), 9).unwrap();
    assert_eq!(expired[0].request, request("late", 5));
    async_requests::finish(&c, "late").unwrap();
    async_requests::put_back(&c, "b", at(20)).unwrap();
    assert_eq!(take(19, 9), [("c".to_owned(), 1)]);
    assert_eq!(take(20, 9), [("b".to_owned(), 2)]);
    assert_eq!(async_requests::put_all_back(&c).unwrap(), 3);
    assert_eq!(async_requests::count(&c, "e").unwrap(), Count { queued: 3, running: 0 });
    delete(&c, "e").unwrap();
    assert_eq!(async_requests::count(&c, "e").unwrap(), Count::default());
}
