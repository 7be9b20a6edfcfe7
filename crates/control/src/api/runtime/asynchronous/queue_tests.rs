use super::super::work::place;
use super::*;
use crate::api::testing::{NOW, Tested};
use crate::serving::testing::*;
use crate::serving::{Instance, Limits, Routes};
use belljar_domain::endpoint::{Asynchronous, Deployment, Endpoint, EndpointProgress};
use belljar_store::endpoints::{
    self,
    async_requests::{AsyncRequest, Count, Headers},
};
use belljar_store::objects::{Condition, Meta};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};

struct Scene {
    queue: Queue,
    service: Arc<Service>,
    _dir: tempfile::TempDir,
}

impl Scene {
    /// The endpoint `e`, with that room for requests on each instance.
    async fn new(instances: Vec<Arc<Instance>>, concurrent: Option<u32>) -> Self {
        let mut tested = Tested::new().await;
        // What cannot be had is found out soon, and what was told of an instance forgotten.
        let limits = Limits { wait: SHORT.wait, suspect: SHORT.wait, ..LIMITS };
        tested.service.endpoints = table_within(limits, Vec::new());
        let (service, dir) = tested.shared();
        let deployment = Deployment { config: "c".into(), variants: vec![], asynchronous: None };
        let now = service.now();
        let endpoint = Endpoint {
            name: "e".into(),
            arn: "arn:e".into(),
            created: now,
            modified: now,
            progress: EndpointProgress::creating(deployment, now),
        };
        let create = service.db().write(move |c| endpoints::create(c, &endpoint, &BTreeMap::new()));
        create.await.unwrap();
        service.objects.create_bucket("my-bucket".into()).await.unwrap();
        let scene = Self { queue: Queue::new(service.clone()), service, _dir: dir };
        scene.set(instances, concurrent);
        scene
    }

    fn set(&self, instances: Vec<Arc<Instance>>, concurrent: Option<u32>) {
        let asynchronous = Some(Asynchronous { output: None, failure: None, concurrent });
        let variants = vec![variant("v", 1.0, instances)];
        let routes = Routes { asynchronous, ..routes(variants) };
        self.service.endpoints.set("e", Some(routes));
    }

    async fn put(&self, key: &str, body: &'static str) {
        let mut incoming = self.service.objects.receive(&[]);
        incoming.push(body.into()).await.unwrap();
        let received = incoming.finish().await.unwrap();
        let put = self.service.objects.put(
            "my-bucket".into(),
            key.into(),
            received,
            Meta::default(),
            Condition::None,
        );
        put.await.unwrap();
    }

    async fn read(&self, key: &str) -> Option<String> {
        let found = self.service.objects.get("my-bucket", key).ok()?;
        let mut body = Vec::new();
        let size = found.info.size;
        let mut chunks = found.body.chunks(0..size);
        while let Some(chunk) = chunks.next().await {
            body.extend_from_slice(&chunk.unwrap());
        }
        Some(String::from_utf8(body).unwrap())
    }

    /// Asks for an object's contents to be given to the model; the outcome is `out-`, or `bad-`.
    async fn ask(&self, key: &str) {
        self.ask_with(key, |_| {}).await;
    }

    async fn ask_with(&self, key: &str, change: impl FnOnce(&mut AsyncRequest)) {
        let mut request = AsyncRequest {
            id: format!("id-{key}"),
            endpoint: "e".into(),
            input: format!("s3://my-bucket/{key}"),
            output: format!("s3://my-bucket/out-{key}"),
            failure: Some(format!("s3://my-bucket/bad-{key}")),
            headers: Headers { content_type: Some("a/b".into()), ..Headers::default() },
            inference_id: "i".into(),
            created: self.service.now(),
            expires: Timestamp::from_millis(NOW + 60_000),
            timeout_seconds: 1,
        };
        change(&mut request);
        let write = self.service.db().write(move |c| async_requests::enqueue(c, &request));
        write.await.unwrap();
    }

    fn count(&self) -> (u64, u64) {
        let Count { queued, running } =
            self.service.db().read(|c| async_requests::count(c, "e")).unwrap();
        (queued, running)
    }

    /// Takes what there is, and waits for all that was taken.
    async fn round(&mut self) {
        self.queue.round().await.unwrap();
        while let Some(done) = self.queue.running.join_next_with_id().await {
            self.queue.done(done);
        }
        assert!(self.queue.which.is_empty());
    }

    /// Takes one as a service does that dies over it.
    async fn take(&self) {
        let now = self.service.now();
        let take = self.service.db().write(move |c| async_requests::take(c, "e", now, 9));
        assert_eq!(take.await.unwrap().len(), 1);
    }

    /// Makes what was put back due.
    async fn due(&self) {
        let write = self.service.db().write(|c| {
            c.execute("UPDATE async_request SET due = 0", [])
                .map_err(belljar_store::StoreError::from)
        });
        write.await.unwrap();
    }
}

fn echo() -> Fake {
    Fake::new(|got, stream| say(stream, 200, "content-type: c/d\r\n", &got.body))
}

fn on(fake: &Fake) -> Vec<Arc<Instance>> {
    vec![instance("i-1", vec![fake.container("primary")])]
}

#[tokio::test]
async fn an_answer_becomes_an_object_and_its_request_is_forgotten() {
    let fake = echo();
    let mut s = Scene::new(on(&fake), None).await;
    s.put("a", "hello").await;
    s.ask("a").await;
    s.round().await;
    assert_eq!(s.read("out-a").await.as_deref(), Some("hello"));
    assert_eq!((s.read("bad-a").await, s.count()), (None, (0, 0)));
    let (bucket, key) = place("s3://my-bucket/out-a").unwrap();
    let info = s.service.objects.head(bucket, key).unwrap();
    assert_eq!(info.meta.content_type.as_deref(), Some("c/d"));
    let got = &fake.got()[0];
    assert_eq!(got.header("content-type"), Some("a/b"));
    assert_eq!(got.header("x-amzn-sagemaker-inference-id"), Some("i"));
}

#[tokio::test]
async fn a_failure_becomes_an_object_in_words() {
    let fake = Fake::new(|_, stream| say(stream, 500, "", b"no"));
    let mut s = Scene::new(on(&fake), None).await;
    s.put("a", "x").await;
    s.ask("a").await;
    s.ask("none").await;
    s.ask_with("nowhere", |r| {
        (r.input, r.output) = ("s3://my-bucket/a".into(), "s3://no-bucket/x".into());
        r.failure = None;
    })
    .await;
    s.round().await;
    let said = s.read("bad-a").await.unwrap();
    assert!(said.starts_with("Received server error (500) from primary with message \"no\""));
    let said = s.read("bad-none").await.unwrap();
    assert!(said.starts_with("Failed to read s3://my-bucket/none: "), "{said}");
    assert_eq!((s.read("out-a").await, s.count()), (None, (0, 0)));
    // Half an answer is none.
    let fake = Fake::new(|_, stream| {
        raw(stream, "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf");
        false
    });
    s.set(on(&fake), None);
    s.ask("a").await;
    s.round().await;
    assert_eq!(s.read("bad-a").await.unwrap(), "From the model: the answer broke off.");
    assert_eq!(s.read("out-a").await, None);
}

#[tokio::test]
async fn what_no_instance_has_seen_is_put_back() {
    let fake = echo();
    let mut s = Scene::new(on(&fake), None).await;
    fake.closed.store(true, Ordering::SeqCst);
    s.put("a", "x").await;
    s.ask("a").await;
    s.round().await;
    assert_eq!((s.count(), s.read("bad-a").await), ((1, 0), None));
    // Not before its time, and not while nobody is well.
    fake.closed.store(false, Ordering::SeqCst);
    s.round().await;
    assert_eq!(s.count(), (1, 0));
    s.due().await;
    s.set(Vec::new(), None);
    s.round().await;
    assert_eq!(s.count(), (1, 0));
    s.set(on(&fake), None);
    s.round().await;
    assert_eq!((s.count(), s.read("out-a").await.as_deref()), ((0, 0), Some("x")));
}

#[tokio::test]
async fn one_that_waited_too_long_is_not_carried_out() {
    let fake = echo();
    let mut s = Scene::new(on(&fake), Some(1)).await;
    s.put("a", "x").await;
    for n in 0..EXPIRED + 1 {
        s.ask_with("a", |r| {
            r.expires = r.created;
            r.id = format!("{n}");
            r.failure = (n == 0).then(|| "s3://my-bucket/late".into());
        })
        .await;
    }
    s.queue.round().await.unwrap();
    assert_eq!(s.queue.which.len(), EXPIRED, "not all at once");
    assert_eq!(s.queue.rooms(), [("e".to_owned(), 1)], "they take nobody's place");
    s.round().await;
    s.round().await;
    assert_eq!(s.count(), (0, 0));
    let said = s.read("late").await.unwrap();
    assert_eq!(said, "The request waited longer than its RequestTTLSeconds.");
    assert!(fake.got().is_empty());
}

#[tokio::test]
async fn as_many_as_instances_can_have() {
    let most = Arc::new((AtomicUsize::new(0), AtomicUsize::new(0)));
    let seen = most.clone();
    let fake = Fake::new(move |_, stream| {
        seen.1.fetch_max(seen.0.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        // The first waits for the second, and both for one that is too many.
        for _ in 0..10_000 {
            if seen.1.load(Ordering::SeqCst) > 1 {
                break;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        std::thread::sleep(Duration::from_millis(50));
        seen.0.fetch_sub(1, Ordering::SeqCst);
        say(stream, 200, "", b"")
    });
    let mut s = Scene::new(on(&fake), Some(2)).await;
    s.put("a", "x").await;
    for n in 0..5 {
        s.ask_with("a", |r| r.id = format!("{n}")).await;
    }
    s.queue.round().await.unwrap();
    s.queue.round().await.unwrap();
    assert_eq!((s.queue.which.len(), s.count()), (2, (3, 2)));
    for _ in 0..3 {
        s.round().await;
    }
    assert_eq!((s.count(), most.1.load(Ordering::SeqCst)), ((0, 0), 2));
}

/// A service that dies over a request carries it out again; so does one that loses it to a bug, or
/// cannot write how it ended.
#[tokio::test]
async fn what_was_taken_is_never_lost() {
    let fake = echo();
    let mut s = Scene::new(on(&fake), None).await;
    s.put("a", "x").await;
    s.ask("a").await;
    s.take().await;
    assert_eq!(s.count(), (0, 1));
    s.round().await;
    assert_eq!((s.count(), s.read("out-a").await.as_deref()), ((0, 0), Some("x")));
    // Its outcome was written and its end was not.
    s.ask("a").await;
    s.take().await;
    s.queue = Queue::new(s.service.clone());
    s.round().await;
    assert_eq!((s.count(), fake.got().len()), ((0, 0), 2), "the container sees it again");
    s.ask("a").await;
    s.take().await;
    s.queue.unwritten.push(End::Done("id-a".into()));
    s.round().await;
    assert_eq!((s.count(), fake.got().len()), ((0, 0), 2));
    s.ask("a").await;
    s.take().await;
    let task = s.queue.running.spawn(async { panic!("a bug that a test makes") });
    let running = Running { id: "id-a".into(), endpoint: "e".into(), expired: false };
    s.queue.which.insert(task.id(), running);
    assert_eq!(s.queue.rooms(), [("e".to_owned(), 3)]);
    s.round().await;
    s.round().await;
    assert_eq!((s.count(), s.queue.which.len()), ((1, 0), 0), "later");
    s.due().await;
    s.round().await;
    assert_eq!((s.count(), fake.got().len()), ((0, 0), 3));
}

/// Payloads have so much room together: who comes later waits.
#[tokio::test]
async fn payloads_wait_for_room() {
    let fake = echo();
    let mut s = Scene::new(on(&fake), None).await;
    s.put("a", "hello").await;
    s.ask("a").await;
    let all = s.queue.room.available_permits();
    let held =
        s.queue.room.clone().try_acquire_many_owned(u32::try_from(all).unwrap() - 4).unwrap();
    s.queue.round().await.unwrap();
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(fake.got().is_empty());
    drop(held);
    s.round().await;
    assert_eq!(s.read("out-a").await.as_deref(), Some("hello"));
    assert_eq!(s.queue.room.available_permits(), all);
}
