use super::*;
use crate::Db;
use crate::list::{Filter, Order, SortBy};
use belljar_domain::{HostName, Resources, StopPolicy};
use std::num::NonZeroU32;

fn at(ms: i64) -> Timestamp {
    Timestamp::from_millis(ms)
}

fn job(name: &str, created: i64) -> TrainingJob {
    TrainingJob {
        name: name.parse().unwrap(),
        arn: format!("arn:x:{}", name.to_lowercase()),
        created: at(created),
        modified: at(created),
        definition: Definition {
            request: serde_json::json!({"TrainingJobName": name}),
            retries: 0,
            max_pending_seconds: None,
            vpc: None,
        },
        progress: Progress::accepted(at(created)),
    }
}

fn template(name: &str) -> Assignment {
    serde_json::from_value(serde_json::json!({
        "generation": 0, "job": name, "jobArn": "arn", "region": "r",
        "host": HostName::algo(NonZeroU32::MIN), "instanceType": "local", "image": "i",
        "output": "s3://b/o",
        "resources": Resources { cpu_millis: None, memory_bytes: None, processes: 1 },
        "stop": StopPolicy::default(),
    }))
    .unwrap()
}

struct Scene {
    db: Db,
    _dir: tempfile::TempDir,
}

impl Scene {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let db = Db::open(&dir.path().join("state.db"), crate::schema::STATE).unwrap();
        Self { db, _dir: dir }
    }

    async fn create(&self, name: &str, created: i64) -> Result<(), JobError> {
        let name = name.to_owned();
        self.db
            .write(move |c| create(c, &job(&name, created), &template(&name), &BTreeMap::new()))
            .await
    }

    async fn end(&self, name: &'static str, now: i64) {
        self.db
            .write(move |c| update(c, name, at(now), |p| p.fail("x".into(), at(now))))
            .await
            .unwrap();
    }

    fn names(&self, filter: &Filter) -> (Vec<String>, Option<(String, i64)>) {
        let page = self.db.read(|c| list(c, filter)).unwrap();
        (page.items.into_iter().map(|j| j.name).collect(), page.next)
    }
}

#[tokio::test]
async fn a_name_is_used_once_whatever_its_case() {
    let s = Scene::new();
    s.create("Ab", 1).await.unwrap();
    let e = s.create("aB", 2).await.unwrap_err();
    assert!(e.to_string().ends_with("already exists (arn:x:ab)"), "{e}");
    let found = |n: &'static str| s.db.read(|c| get(c, n)).unwrap();
    assert_eq!(found("Ab").unwrap(), job("Ab", 1));
    assert!(found("ab").is_none());
    assert_eq!(s.db.read(|c| by_arn(c, "arn:x:ab")).unwrap().unwrap().as_str(), "Ab");
}

#[tokio::test]
async fn stop_and_delete_know_the_end() {
    let s = Scene::new();
    s.create("a", 1).await.unwrap();
    let delete_it = || s.db.write(|c| delete(c, "a"));
    let stop = || s.db.write(|c| request_stop(c, "a", at(5)));
    assert!(matches!(delete_it().await, Err(JobError::InUse { status: "InProgress", .. })));
    stop().await.unwrap();
    stop().await.unwrap();
    assert!(matches!(delete_it().await, Err(JobError::InUse { status: "Stopping", .. })));
    assert_eq!(s.db.read(unfinished).unwrap().len(), 1);
    s.end("a", 7).await;
    assert!(matches!(stop().await, Err(JobError::Finished("Failed"))));
    assert!(s.db.read(unfinished).unwrap().is_empty());
    let tag = BTreeMap::from([("k".to_owned(), "v".to_owned())]);
    s.db.write(move |c| add_tags(c, "arn:x:a", &tag)).await.unwrap();
    delete_it().await.unwrap();
    assert!(matches!(delete_it().await, Err(JobError::NotFound)));
    assert!(s.db.read(|c| tags(c, "arn:x:a")).unwrap().is_empty());
}

#[tokio::test]
async fn pages_neither_skip_nor_repeat() {
    let s = Scene::new();
    // Two of one moment: the place is more than the moment.
    for (name, created) in [("c", 3), ("b", 3), ("a", 5), ("d", 4), ("e", 1)] {
        s.create(name, created).await.unwrap();
    }
    s.end("d", 9).await;
    for (sort_by, ascending) in
        [(SortBy::CreationTime, "ecbda"), (SortBy::Name, "abcde"), (SortBy::Status, "dcbae")]
    {
        for order in [Order::Ascending, Order::Descending] {
            let mut all = String::new();
            let mut filter = Filter { sort_by, order, limit: 2, ..Filter::default() };
            loop {
                let (names, next) = s.names(&filter);
                assert!(names.len() <= 2);
                all.extend(names);
                let Some(next) = next else { break };
                filter.after = Some(next);
            }
            let expected: String = match order {
                Order::Ascending => ascending.into(),
                Order::Descending => ascending.chars().rev().collect(),
            };
            assert_eq!(all, expected, "{sort_by:?} {order:?}");
        }
    }
}

#[tokio::test]
async fn filters_are_all_kept() {
    let s = Scene::new();
    for (name, created) in [("xa", 1), ("xb", 2), ("y%", 3)] {
        let name = name.replace('%', "z");
        s.create(&name, created).await.unwrap();
    }
    s.end("xa", 8).await;
    let base = Filter { limit: 9, ..Filter::default() };
    let of = |f: Filter| s.names(&f).0.join(" ");
    assert_eq!(of(Filter { name_contains: Some("x".into()), ..base.clone() }), "xa xb");
    assert_eq!(of(Filter { name_contains: Some("%".into()), ..base.clone() }), "");
    assert_eq!(of(Filter { status: Some("Failed"), ..base.clone() }), "xa");
    assert_eq!(of(Filter { created_after: Some(at(1)), ..base.clone() }), "xb yz");
    assert_eq!(of(Filter { created_before: Some(at(2)), ..base.clone() }), "xa");
    assert_eq!(of(Filter { modified_after: Some(at(7)), ..base.clone() }), "xa");
    assert_eq!(of(Filter { modified_before: Some(at(3)), ..base }), "xb");
}

#[tokio::test]
async fn tags_are_bounded_and_aws_is_reserved() {
    let s = Scene::new();
    let some = |from: usize, to: usize| -> BTreeMap<String, String> {
        (from..to).map(|i| (format!("k{i}"), "v".to_owned())).collect()
    };
    let fifty = some(0, 50);
    s.db.write(move |c| add_tags(c, "a", &fifty)).await.unwrap();
    let e =
        s.db.write({
            let one = some(50, 51);
            move |c| add_tags(c, "a", &one)
        })
        .await;
    assert!(matches!(e, Err(TagError::TooMany(51))));
    assert_eq!(s.db.read(|c| tags(c, "a")).unwrap().len(), 50, "nothing of it stays");
    let aws = BTreeMap::from([("AWS:x".to_owned(), String::new())]);
    let e = s.db.write(move |c| add_tags(c, "b", &aws)).await;
    assert!(matches!(e, Err(TagError::Reserved(_))));
    s.db.write(|c| remove_tags(c, "a", &["k0".into(), "zz".into()])).await.unwrap();
    assert_eq!(s.db.read(|c| tags(c, "a")).unwrap().len(), 49);
}

#[tokio::test]
async fn an_attempt_begins_once() {
    let s = Scene::new();
    s.create("a", 1).await.unwrap();
    let begin = |generation| {
        s.db.write(move |c| {
            let template = assignment(c, &"a".parse().unwrap())?;
            begin_attempt(c, &Assignment { generation, ..template })
        })
    };
    assert!(begin(2).await.is_err());
    begin(1).await.unwrap();
    assert!(begin(1).await.is_err());
    let name: JobName = "a".parse().unwrap();
    let to = Position { segment: 3, offset: 7 };
    s.db.write({
        let name = name.clone();
        move |c| advance(c, &name, 1, to)
    })
    .await
    .unwrap();
    let found = s.db.read(|c| attempt(c, &name, 1)).unwrap().unwrap();
    assert_eq!((found.assignment.generation, found.position), (1, to));
    begin(2).await.unwrap();
    s.end("a", 2).await;
    assert!(begin(3).await.is_err());
    s.db.write(|c| delete(c, "a")).await.unwrap();
    assert!(s.db.read(|c| attempt(c, &name, 1)).unwrap().is_none());
}
