use super::model_name;
use crate::serving::testing::*;
use crate::serving::{Failure, Fault, Request as Asked, Table, forward};
use belljar_domain::serving::{Answer, Ask};
use serde_json::json;
use std::collections::BTreeSet;
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// A model server with room for a few models.
struct Server {
    fake: Fake,
    loaded: Arc<Mutex<BTreeSet<String>>>,
    loads: Arc<AtomicUsize>,
    /// While it is set, nothing is loaded.
    held: Arc<AtomicBool>,
}

impl Server {
    fn new(room: usize) -> Self {
        let (loaded, loads) = (Arc::<Mutex<BTreeSet<String>>>::default(), Arc::default());
        let (all, counted) = (Arc::clone(&loaded), Arc::<AtomicUsize>::clone(&loads));
        let held = Arc::<AtomicBool>::default();
        let holds = held.clone();
        let act = move |got: &Got, stream: &mut TcpStream| {
            let path = got.path().to_owned();
            let name = path.split('/').nth(2).unwrap_or_default();
            if got.line.starts_with("GET /models/") {
                let status = if all.lock().unwrap().contains(name) { 200 } else { 404 };
                return say(stream, status, "", b"{}");
            }
            if got.line.starts_with("GET /models") {
                return list(&all.lock().unwrap(), &path, stream);
            }
            if path == "/models" {
                let asked: serde_json::Value = serde_json::from_slice(&got.body).unwrap();
                let name = asked["model_name"].as_str().unwrap();
                assert_eq!(asked["url"], format!("/opt/ml/models/{name}/model"));
                std::thread::sleep(Duration::from_millis(30));
                while holds.load(Ordering::SeqCst) {
                    std::thread::sleep(Duration::from_millis(1));
                }
                counted.fetch_add(1, Ordering::SeqCst);
                let mut all = all.lock().unwrap();
                let status = match (all.contains(name), name == model_name("bad"), all.len() < room)
                {
                    (true, ..) => 409,
                    (_, true, _) => 500,
                    (.., false) => 507,
                    _ => 200,
                };
                if status == 200 {
                    all.insert(name.to_owned());
                }
                return say(stream, status, "", b"words");
            }
            if got.line.starts_with("DELETE") {
                let gone = all.lock().unwrap().remove(name);
                return say(stream, if gone { 200 } else { 404 }, "", b"");
            }
            if !all.lock().unwrap().contains(name) {
                return say(stream, 404, "", b"not loaded");
            }
            if got.body == b"slow" {
                std::thread::sleep(Duration::from_millis(300));
            }
            assert!(path.ends_with("/invoke"), "{path}");
            say(stream, 200, "", name.as_bytes())
        };
        let door = |ask: &Ask| match ask {
            Ask::Model { key, .. } if key == "none" => Answer::Failed { why: "no object".into() },
            _ => Answer::Done,
        };
        Self { fake: Fake::with_door(act, door), loaded, loads, held }
    }

    fn table(&self, cached: bool) -> Table {
        table(vec![instance("i-1", vec![self.fake.container("m").with_models(cached)])])
    }

    fn has(&self, keys: &[&str]) -> bool {
        *self.loaded.lock().unwrap() == keys.iter().map(|key| model_name(key)).collect()
    }

    async fn until_it_has(&self, keys: &[&str]) {
        let has = async {
            while !self.has(keys) {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::time::timeout(LIMITS.answer, has).await.unwrap();
    }

    fn asked(&self, wanted: impl Fn(&Ask) -> bool) -> usize {
        self.fake.asked.lock().unwrap().iter().filter(|ask| wanted(ask)).count()
    }
}

/// One model a page.
fn list(all: &BTreeSet<String>, path: &str, stream: &mut TcpStream) -> bool {
    let from: usize = path
        .split_once("next_page_token=%")
        .map_or(0, |(_, n)| usize::from_str_radix(n, 16).unwrap() - 0x30);
    let mut page = json!({"models": []});
    if let Some(name) = all.iter().nth(from) {
        page["models"] = json!([{"modelName": name, "modelUrl": "x"}]);
        page["nextPageToken"] = json!((from + 1).to_string());
    }
    say(stream, 200, "", page.to_string().as_bytes())
}

fn of(model: &str) -> Asked {
    Asked { model: Some(model.into()), ..Asked::default() }
}

#[tokio::test]
async fn a_model_is_loaded_once_and_the_oldest_makes_room() {
    let server = Server::new(2);
    let table = server.table(true);
    for key in ["a", "b", "a", "c", "c"] {
        let answer = forward(&table, "e", &of(key)).await.unwrap();
        assert_eq!(answer.body, model_name(key));
    }
    assert!(server.has(&["a", "c"]));
    // The fourth was loaded after an answer of 507.
    assert_eq!(server.loads.load(Ordering::SeqCst), 4);
    assert_eq!(server.asked(|a| matches!(a, Ask::Forget { name } if *name == model_name("b"))), 1);
}

#[tokio::test]
async fn many_that_want_one_model_have_it_loaded_once() {
    let server = Server::new(2);
    let table = Arc::new(server.table(true));
    let asks: Vec<_> = (0..20)
        .map(|_| {
            let table = table.clone();
            tokio::spawn(async move { forward(&table, "e", &of("a")).await })
        })
        .collect();
    for ask in asks {
        ask.await.unwrap().unwrap();
    }
    assert_eq!(server.loads.load(Ordering::SeqCst), 1);
    assert_eq!(server.asked(|a| matches!(a, Ask::Model { .. })), 1);
}

#[tokio::test]
async fn a_model_in_use_is_not_unloaded() {
    let server = Server::new(1);
    let table = server.table(true);
    forward(&table, "e", &of("a")).await.unwrap();
    let slow = Asked { body: "slow".into(), ..of("a") };
    let (first, second) = tokio::join!(forward(&table, "e", &slow), async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        forward(&table, "e", &of("b")).await
    });
    assert_eq!(first.unwrap().body, model_name("a"));
    assert_eq!(second.unwrap().body, model_name("b"));
    assert!(server.has(&["b"]));
}

#[tokio::test]
async fn a_storm_of_more_models_than_there_is_room_for_is_answered() {
    let server = Server::new(3);
    let table = Arc::new(server.table(true));
    let asks: Vec<_> = (0..60)
        .map(|n| {
            let table = table.clone();
            tokio::spawn(async move {
                let key = (n % 5).to_string();
                let long = Some(LIMITS.answer);
                let answer = forward(&table, "e", &Asked { time: long, ..of(&key) }).await.unwrap();
                assert_eq!(answer.body, model_name(&key));
            })
        })
        .collect();
    for ask in asks {
        ask.await.unwrap();
    }
    let instance = table.get("e").unwrap().variants[0].instances[0].clone();
    assert_eq!(instance.outstanding(), 0);
}

#[tokio::test]
async fn what_cannot_be_loaded_is_told() {
    let server = Server::new(0);
    let table = server.table(true);
    let failed = async |key: &str| forward(&table, "e", &of(key)).await.unwrap_err();
    assert!(
        matches!(failed("none").await, Failure::NoModel { key, why } if key == "none" && why == "no object")
    );
    for (key, wanted) in [("bad", 500), ("a", 507)] {
        match failed(key).await {
            Failure::Container { fault: Fault::Answered { status, message }, .. } => {
                assert_eq!((status, &*message), (wanted, &b"words"[..]));
            }
            other => panic!("{other:?}"),
        }
        let forgotten = |a: &Ask| matches!(a, Ask::Forget { name } if *name == model_name(key));
        assert_eq!(server.asked(forgotten), 1);
    }
    let instance = table.get("e").unwrap().variants[0].instances[0].clone();
    assert!(instance.containers[0].loaded.all.lock().unwrap().is_empty());
    let missing = forward(&table, "e", &Asked::default()).await.unwrap_err();
    assert!(
        matches!(missing, Failure::Refused(text) if text.starts_with("TargetModel is required"))
    );
}

#[tokio::test]
async fn a_load_that_takes_long_goes_on_without_the_request() {
    let server = Server::new(1);
    let table = server.table(true);
    server.held.store(true, Ordering::SeqCst);
    let short = Asked { time: Some(Duration::from_millis(10)), ..of("a") };
    assert!(
        matches!(forward(&table, "e", &short).await, Err(Failure::NotReady(key)) if key == "a")
    );
    server.held.store(false, Ordering::SeqCst);
    server.until_it_has(&["a"]).await;
    forward(&table, "e", &of("a")).await.unwrap();
    assert_eq!(server.loads.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn what_an_earlier_service_had_loaded_is_known() {
    let server = Server::new(2);
    server.loaded.lock().unwrap().extend([model_name("a"), model_name("b")]);
    let table = server.table(true);
    // Both are found, on two pages, when the first that is new is wanted.
    forward(&table, "e", &of("c")).await.unwrap();
    assert_eq!(server.loaded.lock().unwrap().len(), 2);
    assert!(server.loaded.lock().unwrap().contains(&model_name("c")));
}

#[tokio::test]
async fn a_model_that_the_container_lost_is_loaded_again() {
    let server = Server::new(2);
    let table = server.table(true);
    forward(&table, "e", &of("a")).await.unwrap();
    server.loaded.lock().unwrap().clear();
    forward(&table, "e", &of("a")).await.unwrap();
    assert_eq!(server.loads.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn models_that_are_not_cached_are_unloaded_after_use() {
    let server = Server::new(2);
    let table = server.table(false);
    for _ in 0..2 {
        forward(&table, "e", &of("a")).await.unwrap();
        server.until_it_has(&[]).await;
    }
    let forgotten = || server.asked(|a| matches!(a, Ask::Forget { .. }));
    let all = async {
        while forgotten() < 2 {
            tokio::time::sleep(Duration::from_millis(1)).await
        }
    };
    tokio::time::timeout(LIMITS.answer, all).await.unwrap();
    assert_eq!(forgotten(), 2);
}

#[tokio::test]
async fn the_instance_that_has_the_model_is_preferred() {
    let (a, b) = (Server::new(2), Server::new(2));
    let of_one = |id: &str, s: &Server| instance(id, vec![s.fake.container("m").with_models(true)]);
    let instances = vec![of_one("i-1", &a), of_one("i-2", &b)];
    let table = table(instances.clone());
    for _ in 0..20 {
        forward(&table, "e", &of("x")).await.unwrap();
    }
    assert_eq!(a.loads.load(Ordering::SeqCst) + b.loads.load(Ordering::SeqCst), 1);
    // An instance that cannot be reached is one to go round.
    a.fake.closed.store(true, Ordering::SeqCst);
    tokio::time::sleep(LIMITS.idle * 2).await;
    for _ in 0..5 {
        forward(&table, "e", &of("y")).await.unwrap();
    }
}
