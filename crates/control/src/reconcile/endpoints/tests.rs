use super::super::{folder, start};
use super::*;
use crate::api::testing::{NOW, Tested};
use crate::state::{ASSIGNMENT_FILE, write_json};
use belljar_domain::endpoint::{Container, Deployment, EndpointProgress, Health, Routing, Variant};
use belljar_domain::{Assignment, Resources, serving, spool};
use rustix::fs::{FlockOperation, flock};
use std::fs::{self, File};
use std::path::PathBuf;

const NOW_IS: Timestamp = Timestamp::from_millis(NOW);

fn deployment(config: &str, containers: usize) -> Deployment {
    let container = |n: usize| Container {
        name: format!("c-{n}"),
        image: "image".into(),
        specified_image: "image".into(),
        environment: BTreeMap::new(),
        model: None,
        models: None,
        cached: true,
    };
    let variant = Variant {
        internet: false,
        role: None,
        name: "v".into(),
        model: "m".into(),
        containers: (1..=containers).map(container).collect(),
        direct: false,
        instance_type: "ml.m5.large".into(),
        resources: Resources { cpu_millis: None, memory_bytes: None, processes: 64 },
        count: 1,
        weight: 1.0,
        routing: Routing::default(),
        download_seconds: 60,
        startup_seconds: 60,
        notices: Vec::new(),
        vpc: None,
    };
    Deployment { config: config.into(), variants: vec![variant], asynchronous: None }
}

/// An endpoint `e` of a service without a loop.
struct Scene {
    endpoints: Endpoints,
    service: Arc<Service>,
    _dir: tempfile::TempDir,
}

impl Scene {
    /// In service, of one instance of so many containers; wardens are a program.
    async fn new(containers: usize, warden: &str) -> Self {
        let mut tested = Tested::new().await;
        let warden = tested.service.config.state.join(warden);
        let environment = &mut tested.service.config.warden.environment;
        environment.push(("PATH".into(), "/usr/bin:/bin".into()));
        tested.service.config.warden.program = warden;
        let (service, dir) = tested.shared();
        let endpoint = Endpoint {
            name: "e".into(),
            arn: "arn:e".into(),
            created: NOW_IS,
            modified: NOW_IS,
            progress: EndpointProgress::creating(deployment("one", containers), NOW_IS),
        };
        let create = service.db().write(move |c| endpoints::create(c, &endpoint, &BTreeMap::new()));
        create.await.unwrap();
        let scene = Self { endpoints: Endpoints::new(service.clone()), service, _dir: dir };
        scene.progress(|p| steps::take_over(p, NOW_IS)).await;
        scene
    }

    async fn progress(&self, change: impl FnOnce(&mut EndpointProgress) + Send + 'static) {
        let change = |p: &mut EndpointProgress| {
            change(p);
            true
        };
        let write = self.service.db().write(move |c| endpoints::update(c, "e", NOW_IS, change));
        write.await.unwrap();
    }

    fn endpoint(&self) -> Endpoint {
        self.service.db().read(|c| endpoints::get(c, "e")).unwrap().unwrap()
    }

    /// Carries a step out.
    async fn step(&mut self, step: Step) -> bool {
        let endpoint = self.endpoint();
        self.endpoints.execute(&endpoint, &[], &step).await.unwrap()
    }

    /// The same, until it is done.
    async fn until(&mut self, step: Step) {
        for _ in 0..3000 {
            if self.step(step.clone()).await {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        panic!("{step:?} is not done");
    }

    /// Has an instance of a fleet recorded.
    async fn begun(&mut self, fleet: u64, instead: Option<&str>) -> Server {
        let (variant, zone) = ("v".to_owned(), "z".to_owned());
        let instead = instead.map(str::to_owned);
        let before = self.servers();
        self.until(Step::Begin { fleet, variant, zone, tries: 0, at: NOW_IS, instead }).await;
        let mut new = self.servers();
        new.retain(|s| before.iter().all(|b| b.id != s.id));
        new.remove(0)
    }

    fn servers(&self) -> Vec<Server> {
        self.service.db().read(servers::all).unwrap()
    }

    fn folder(&self, server: &Server, number: u32) -> PathBuf {
        folder::of_container(&self.service.config.state, &server.id, number)
    }

    /// A container's folder as it is before its warden begins.
    fn prepared(&self, server: &Server, number: u32) -> PathBuf {
        let all = self.service.db().read(|c| servers::containers(c, &server.id)).unwrap();
        start::prepare(&self.service.config.state, &all[number as usize - 1].assignment).unwrap()
    }

    /// One of which a warden is dead, without a report.
    fn dead(&self, server: &Server, number: u32) -> PathBuf {
        let folder = self.prepared(server, number);
        fs::write(folder.join(spool::JOURNAL), "").unwrap();
        folder
    }

    /// One with a warden that lives as long as what is answered.
    fn alive(&self, server: &Server, number: u32) -> File {
        let lock = File::create(self.dead(server, number).join(spool::LOCK)).unwrap();
        flock(&lock, FlockOperation::LockExclusive).unwrap();
        lock
    }

    async fn healthy(&self, server: &Server, number: u32, healthy: bool) {
        let (id, health) = (server.id.clone(), Health { healthy, why: String::new(), at: NOW_IS });
        let write = self.service.db().write(move |c| servers::set_health(c, &id, number, &health));
        write.await.unwrap();
    }

    /// What is seen, once all that was said is taken in.
    async fn seen(&mut self, server: &Server) -> Seen {
        for _ in 0..3000 {
            let seen = self.endpoints.observe(server.clone()).unwrap();
            if seen.over || !matches!(seen.state, State::Dead { .. }) {
                return seen;
            }
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        self.endpoints.observe(server.clone()).unwrap()
    }

    fn route(&mut self, seen: &[Seen]) {
        let all = self.service.db().read(endpoints::all).unwrap();
        self.endpoints.route(&all, |_| Some(seen));
    }

    /// Whom the table names, and whether they are healthy.
    fn routed(&self) -> Vec<(String, bool)> {
        let routes = self.service.endpoints.get("e").unwrap();
        let all = routes.variants.iter().flat_map(|v| &v.instances);
        all.map(|i| (i.id.clone(), i.is_healthy())).collect()
    }
}

fn server(id: &str, fleet: u64, stopping: bool) -> Server {
    Server {
        id: id.into(),
        endpoint: "e".into(),
        fleet,
        variant: "v".into(),
        zone: "z".into(),
        containers: 1,
        tries: 0,
        begun: NOW_IS,
        stopping: stopping.then_some(NOW_IS),
        role: None,
        isolated: true,
    }
}

fn seen(id: &str, state: State) -> Seen {
    Seen { server: server(id, 1, false), state, outstanding: 0, over: false }
}

fn dead() -> State {
    State::Dead { why: "it died".into(), ran: true }
}

#[tokio::test]
async fn who_leaves_or_is_dead_or_not_begun_is_given_nothing() {
    let mut s = Scene::new(1, "/nowhere").await;
    let leaves = Seen { server: server("leaves", 1, true), ..seen("", State::Healthy) };
    let other = Seen { server: server("other", 2, false), ..seen("", State::Healthy) };
    let all = [
        seen("well", State::Healthy),
        seen("ill", State::Unhealthy { since: NOW_IS }),
        seen("young", State::Starting),
        seen("dead", dead()),
        seen("idle", State::NotBegun),
        leaves,
        other,
    ];
    s.route(&all);
    let named = |id: &str, healthy| (id.to_owned(), healthy);
    assert_eq!(s.routed(), [named("well", true), named("ill", false), named("young", false)]);
    assert!(s.service.endpoints.get("e").unwrap().in_service);
    // The same instance, as long as it is there: its requests are counted on.
    let of = |s: &Scene| s.service.endpoints.get("e").unwrap().variants[0].instances[0].clone();
    let first = of(&s);
    s.route(&[seen("well", State::Unhealthy { since: NOW_IS })]);
    assert!(Arc::ptr_eq(&first, &of(&s)) && !first.is_healthy());
    // One of which nothing was seen stays as it is; one that is gone, or ends, is not answered.
    let all = s.service.db().read(endpoints::all).unwrap();
    s.endpoints.route(&all, |_| None);
    assert_eq!(s.routed(), [named("well", false)]);
    s.progress(|p| p.status = EndpointStatus::Deleting).await;
    s.route(&[]);
    assert!(!s.service.endpoints.get("e").unwrap().in_service);
    s.endpoints.route(&[], |_| Some(&[]));
    assert!(s.service.endpoints.get("e").is_none());
}

/// A request that began while it was looked at is counted: who has it is not stopped.
#[tokio::test]
async fn requests_are_counted_once_nobody_can_begin_one() {
    let mut s = Scene::new(1, "/nowhere").await;
    let one = s.begun(1, None).await;
    let _warden = s.alive(&one, 1);
    s.healthy(&one, 1, true).await;
    assert!(!s.endpoints.round().await.unwrap(), "all is as it was asked for");
    let instance = s.service.endpoints.get("e").unwrap().variants[0].instances[0].clone();
    s.step(Step::Leave(one.id.clone())).await;
    let one = s.servers().remove(0);
    let mut looked_at = vec![s.endpoints.observe(one).unwrap()];
    let request = instance.begin().unwrap();
    s.route(&looked_at);
    assert!(instance.begin().is_none(), "it is in no table");
    s.endpoints.count(&mut looked_at);
    assert_eq!(looked_at[0].outstanding, 1);
    drop(request);
    s.endpoints.count(&mut looked_at);
    assert_eq!(looked_at[0].outstanding, 0);
}

#[tokio::test]
async fn an_instance_is_as_its_worst_container() {
    let mut s = Scene::new(2, "/nowhere").await;
    let one = s.begun(1, None).await;
    assert_eq!(s.seen(&one).await.state, State::NotBegun);
    assert!(s.seen(&one).await.over, "nothing of it is there");
    let first = s.alive(&one, 1);
    assert_eq!(s.seen(&one).await.state, State::NotBegun, "the second is to be started");
    s.prepared(&one, 2);
    assert_eq!(s.seen(&one).await.state, State::NotBegun, "a folder is no warden");
    let second = s.alive(&one, 2);
    assert_eq!(s.seen(&one).await.state, State::Starting);
    s.healthy(&one, 1, true).await;
    assert_eq!(s.seen(&one).await.state, State::Starting);
    s.healthy(&one, 2, false).await;
    assert_eq!(s.seen(&one).await.state, State::Unhealthy { since: NOW_IS });
    // What an earlier service was told, an hour ago, may have changed: it is heard out.
    let health =
        Health { healthy: false, why: "late".into(), at: Timestamp::from_millis(NOW - 3_600_000) };
    let id = one.id.clone();
    let write = s.service.db().write(move |c| servers::set_health(c, &id, 2, &health));
    write.await.unwrap();
    assert_eq!(s.seen(&one).await.state, State::Unhealthy { since: NOW_IS });
    s.healthy(&one, 2, true).await;
    assert_eq!(s.seen(&one).await.state, State::Healthy);
    drop(second);
    let found = s.endpoints.observe(one.clone()).unwrap();
    assert!(matches!(&found.state, State::Dead { why, ran: true } if why.starts_with("Internal")));
    assert!(!found.over, "the first lives");
    drop(first);
    assert!(s.seen(&one).await.over);
    // A report of something else is none; a broken one is told.
    fs::write(s.folder(&one, 1).join("report.json"), "{").unwrap();
    let found = s.seen(&one).await;
    assert!(matches!(&found.state, State::Dead { why, .. } if why.contains("not readable")));
}

#[tokio::test]
async fn a_fleet_takes_over_only_as_it_was_planned() {
    let mut s = Scene::new(1, "/nowhere").await;
    let next = |p: &mut EndpointProgress| {
        p.status = EndpointStatus::Updating;
        p.next = Some(belljar_domain::endpoint::Fleet::new(2, deployment("two", 1), NOW_IS));
    };
    s.progress(next).await;
    let planned = s.endpoint();
    s.progress(|p| p.status = EndpointStatus::Deleting).await;
    s.endpoints.execute(&planned, &[], &Step::TakeOver).await.unwrap();
    assert_eq!(s.endpoint().progress.current.unwrap().number, 1, "it was deleted meanwhile");
    s.progress(next).await;
    s.step(Step::TakeOver).await;
    let progress = s.endpoint().progress;
    let status = (progress.status, progress.took_over, progress.next);
    assert_eq!(status, (EndpointStatus::InService, Some(NOW_IS), None));
    assert_eq!(progress.current.unwrap().deployment.config, "two");
}

/// The next fleet may get the number of one that was given up, and has none of its instances.
#[tokio::test]
async fn what_is_given_up_leaves_at_once() {
    let mut s = Scene::new(1, "/nowhere").await;
    let old = s.begun(1, None).await;
    let next = |config: &'static str| {
        move |p: &mut EndpointProgress| {
            let number = p.next_number();
            let fleet = belljar_domain::endpoint::Fleet::new(number, deployment(config, 1), NOW_IS);
            p.status = EndpointStatus::Updating;
            p.next = Some(fleet);
        }
    };
    s.progress(next("two")).await;
    let new = s.begun(2, None).await;
    s.step(Step::GiveUp { reason: "x".repeat(5000) }).await;
    let progress = s.endpoint().progress;
    assert_eq!(progress.status, EndpointStatus::InService);
    assert!(progress.next.is_none() && progress.failure_reason.unwrap().len() < 5000);
    let leaving = |s: &Scene| {
        let all = s.servers().into_iter();
        all.filter(|s| s.stopping.is_some()).map(|s| s.id).collect::<Vec<_>>()
    };
    assert_eq!(leaving(&s), [new.id]);
    s.progress(next("three")).await;
    assert_eq!(s.endpoint().progress.next.unwrap().number, 2);
    // A first fleet is the endpoint's failure. What was planned for another state changes nothing.
    let planned = s.endpoint();
    s.progress(|p| (p.current, p.status) = (None, EndpointStatus::Creating)).await;
    s.endpoints.execute(&planned, &[], &Step::GiveUp { reason: "y".into() }).await.unwrap();
    assert_eq!(s.endpoint().progress.status, EndpointStatus::Creating);
    assert!(!leaving(&s).contains(&old.id));
    s.step(Step::GiveUp { reason: "z".into() }).await;
    let progress = s.endpoint().progress;
    assert_eq!(progress.status, EndpointStatus::Failed);
    assert_eq!(progress.failure_reason.as_deref(), Some("z"));
}

fn keys(s: &Scene) -> usize {
    let all = s.servers();
    let has = |server: &&Server| {
        let name = format!("{}/{}-1", serving::FOLDER, server.id);
        let key = s.service.db().read(|c| belljar_store::identity::job_key(c, &name, 1));
        key.unwrap().is_some()
    };
    all.iter().filter(has).count()
}

#[tokio::test]
async fn of_one_that_is_removed_nothing_is_left() {
    let mut s = Scene::new(2, "/bin/true").await;
    let one = s.begun(1, None).await;
    let (begun, prepared) = (s.dead(&one, 1), s.prepared(&one, 2));
    let assignment = s.service.db().read(|c| servers::containers(c, &one.id)).unwrap();
    start::key(&s.service, &assignment[0].assignment).await.unwrap();
    assert_eq!(keys(&s), 1);
    let two = s.begun(1, Some(&one.id)).await;
    assert!(!begun.exists() && !prepared.exists());
    assert_eq!((s.servers().len(), keys(&s)), (1, 0));
    // Nothing of it is there, and yet it is removed.
    s.until(Step::Remove(two.id)).await;
    assert!(s.servers().is_empty());
    s.step(Step::Delete).await;
    assert!(s.service.db().read(endpoints::all).unwrap().is_empty());
}

/// A sweep takes its time, and the loop does not wait for it.
#[tokio::test]
async fn others_do_not_wait_for_a_sweep() {
    let mut s = Scene::new(1, "sweeps").await;
    let one = s.begun(1, None).await;
    s.dead(&one, 1);
    let program = s.service.config.state.join("sweeps");
    let text = "#!/bin/sh\nwhile [ ! -e \"$(dirname \"$0\")/go\" ]; do sleep 0.02; done\n";
    fs::write(&program, text).unwrap();
    fs::set_permissions(&program, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    for _ in 0..3 {
        assert!(!s.step(Step::Remove(one.id.clone())).await);
        assert_eq!(s.servers().len(), 1);
    }
    fs::write(program.with_file_name("go"), "").unwrap();
    s.until(Step::Remove(one.id)).await;
    assert!(s.servers().is_empty());
}

/// A folder of somebody else is neither begun in nor swept nor removed.
#[tokio::test]
async fn a_strangers_folder_stays() {
    let mut s = Scene::new(1, "/bin/true").await;
    let one = s.begun(1, None).await;
    let folder = s.folder(&one, 1);
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join(ASSIGNMENT_FILE), "{}").unwrap();
    s.step(Step::Start(one.id.clone())).await;
    let found = s.seen(&one).await;
    assert!(matches!(&found.state, State::Dead { why, .. } if why.contains("is there already")));
    assert!(found.over);
    s.begun(1, Some(&one.id)).await;
    assert!(folder.exists());
}

#[tokio::test]
async fn an_earlier_services_folders_are_removed_and_nobody_elses() {
    let mut s = Scene::new(1, "/bin/true").await;
    let mut folders = Vec::new();
    for _ in 0..4 {
        let one = s.begun(1, None).await;
        folders.push((s.dead(&one, 1), one));
    }
    let (kept, held) = (folders[0].0.clone(), folders[1].clone());
    let _lock = s.alive(&held.1, 1);
    for (_, server) in &folders[1..] {
        let id = server.id.clone();
        s.service.db().write(move |c| servers::remove(c, &id)).await.unwrap();
    }
    // One of `belljar serve`, that begins just now; another one whose Assignment is yet to come.
    let above = kept.parent().unwrap().to_owned();
    let text = fs::read(kept.join(ASSIGNMENT_FILE)).unwrap();
    let mut given: Assignment = serde_json::from_slice(&text).unwrap();
    given.begun = None;
    let cli = [above.join("i-0123456789abcdef0-1"), above.join("i-0123456789abcdef1-1")];
    cli.iter().for_each(|folder| fs::create_dir(folder).unwrap());
    write_json(&cli[0].join(ASSIGNMENT_FILE), &given).unwrap();
    // Half removed.
    fs::create_dir(above.join("gone-i-0123456789abcdef2-1")).unwrap();
    s.endpoints.tidy_all().await.unwrap();
    let mut left: Vec<_> = fs::read_dir(&above).unwrap().map(|e| e.unwrap().path()).collect();
    let mut wanted = vec![kept, held.0, cli[0].clone(), cli[1].clone()];
    left.sort();
    wanted.sort();
    assert_eq!(left, wanted);
}

/// What cannot be swept is kept for who can; it is in nobody's way.
#[tokio::test]
async fn what_cannot_be_swept_is_not_removed() {
    let mut s = Scene::new(1, "/bin/false").await;
    let one = s.begun(1, None).await;
    let folder = s.dead(&one, 1);
    s.until(Step::Remove(one.id)).await;
    assert!(folder.exists() && s.servers().is_empty());
    s.endpoints.tidy_all().await.unwrap();
    assert!(folder.exists());
}
