//! A container that tests make up, behind a door: both are threads of the test.

use super::{Container, Instance, Limits, Routes, Table, VariantRoutes};
use belljar_domain::endpoint::Routing;
use belljar_domain::serving::{Answer, Ask, DOOR};
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
use std::io::{BufRead, BufReader, IoSlice, Write};
use std::mem::MaybeUninit;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Times in tests: what is to come has as long as a busy machine needs, but for connections that
/// nobody uses.
pub(crate) const LIMITS: Limits = Limits {
    answer: Duration::from_secs(30),
    stream: Duration::from_secs(30),
    door: Duration::from_secs(30),
    wait: Duration::from_secs(30),
    suspect: Duration::from_secs(30),
    idle: Duration::from_millis(200),
    load: Duration::from_secs(30),
};

/// Times of tests in which something is not to come.
pub(crate) const SHORT: Limits = Limits {
    answer: Duration::from_millis(1500),
    stream: Duration::from_millis(800),
    wait: Duration::from_millis(300),
    ..LIMITS
};

/// Times of tests in which a connection is to be used again.
pub(crate) const KEPT: Limits = Limits { idle: Duration::from_secs(60), ..LIMITS };

/// A request that a container got.
#[derive(Debug, Clone)]
pub(crate) struct Got {
    pub(crate) line: String,
    /// Names in lower case.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Got {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn path(&self) -> &str {
        self.line.split(' ').nth(1).unwrap_or_default()
    }
}

/// What a container does with a request; `false` ends the connection.
pub(crate) type Act = Arc<dyn Fn(&Got, &mut TcpStream) -> bool + Send + Sync>;

/// What a door does with what is asked besides connections.
pub(crate) type Door = Arc<dyn Fn(&Ask) -> Answer + Send + Sync>;

/// A container and its door.
pub(crate) struct Fake {
    dir: tempfile::TempDir,
    pub(crate) connections: Arc<AtomicUsize>,
    pub(crate) got: Arc<Mutex<Vec<Got>>>,
    /// Whether the door says that the container accepts nothing.
    pub(crate) closed: Arc<AtomicBool>,
    pub(crate) asked: Arc<Mutex<Vec<Ask>>>,
}

impl Fake {
    pub(crate) fn new(act: impl Fn(&Got, &mut TcpStream) -> bool + Send + Sync + 'static) -> Self {
        Self::with_door(act, |_| Answer::Done)
    }

    pub(crate) fn with_door(
        act: impl Fn(&Got, &mut TcpStream) -> bool + Send + Sync + 'static,
        door: impl Fn(&Ask) -> Answer + Send + Sync + 'static,
    ) -> Self {
        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        let fake = Self::open(server.local_addr().unwrap(), Arc::new(door));
        let act: Act = Arc::new(act);
        let (connections, got) = (fake.connections.clone(), fake.got.clone());
        std::thread::spawn(move || {
            for stream in server.incoming() {
                connections.fetch_add(1, Ordering::SeqCst);
                let (act, got) = (act.clone(), got.clone());
                std::thread::spawn(move || serve(stream.unwrap(), &act, &got));
            }
        });
        fake
    }

    /// A door to a server that is there.
    pub(crate) fn at(address: SocketAddr) -> Self {
        Self::open(address, Arc::new(|_| Answer::Done))
    }

    fn open(address: SocketAddr, door: Door) -> Self {
        let fake = Self {
            dir: tempfile::tempdir().unwrap(),
            connections: Arc::default(),
            got: Arc::default(),
            closed: Arc::default(),
            asked: Arc::default(),
        };
        // A path longer than a socket's may be.
        std::fs::create_dir(fake.folder()).unwrap();
        let held = std::fs::File::open(fake.folder()).unwrap();
        let short = format!("/proc/self/fd/{}/{DOOR}", std::os::fd::AsRawFd::as_raw_fd(&held));
        let listener = UnixListener::bind(short).unwrap();
        let (closed, asked) = (fake.closed.clone(), fake.asked.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let stream = stream.unwrap();
                let mut line = String::new();
                BufReader::new(&stream).read_line(&mut line).unwrap();
                let ask: Ask = serde_json::from_str(&line).unwrap();
                let answer = match &ask {
                    Ask::Connect if closed.load(Ordering::SeqCst) => {
                        Answer::Closed { why: "refused".into() }
                    }
                    Ask::Connect => Answer::Done,
                    other => door(other),
                };
                let passed = (ask == Ask::Connect && answer == Answer::Done)
                    .then(|| TcpStream::connect(address).unwrap());
                asked.lock().unwrap().push(ask);
                tell(&stream, &answer, passed);
            }
        });
        fake
    }

    pub(crate) fn folder(&self) -> PathBuf {
        self.dir.path().join("x".repeat(120))
    }

    pub(crate) fn container(&self, name: &str) -> Container {
        Container::new(name.into(), self.folder())
    }

    /// The requests that it got.
    pub(crate) fn got(&self) -> Vec<Got> {
        self.got.lock().unwrap().clone()
    }
}

fn tell(stream: &UnixStream, answer: &Answer, passed: Option<TcpStream>) {
    let mut line = serde_json::to_vec(answer).unwrap();
    line.push(b'\n');
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    let descriptors: Vec<_> = passed.iter().map(AsFd::as_fd).collect();
    if !descriptors.is_empty() {
        assert!(control.push(SendAncillaryMessage::ScmRights(&descriptors)));
    }
    sendmsg(stream, &[IoSlice::new(&line)], &mut control, SendFlags::NOSIGNAL).unwrap();
}

fn serve(mut stream: TcpStream, act: &Act, got: &Mutex<Vec<Got>>) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    while let Some(request) = receive(&mut reader) {
        got.lock().unwrap().push(request.clone());
        if !act(&request, &mut stream) {
            return;
        }
    }
}

fn receive(reader: &mut impl BufRead) -> Option<Got> {
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        let line = line.trim_end().to_owned();
        if line.is_empty() {
            break;
        }
        lines.push(line);
    }
    let headers: Vec<_> = lines[1..]
        .iter()
        .filter_map(|l| l.split_once(": "))
        .map(|(n, v)| (n.to_ascii_lowercase(), v.to_owned()))
        .collect();
    let length = headers.iter().find(|(n, _)| n == "content-length").map(|(_, v)| v.parse());
    let mut body = vec![0; length.map_or(0, |l| l.unwrap())];
    reader.read_exact(&mut body).ok()?;
    Some(Got { line: lines[0].clone(), headers, body })
}

/// Writes an answer whose connection stays.
pub(crate) fn say(stream: &mut TcpStream, status: u16, head: &str, body: &[u8]) -> bool {
    let length = body.len();
    let head = format!("HTTP/1.1 {status} X\r\ncontent-length: {length}\r\n{head}\r\n");
    stream.write_all(&[head.as_bytes(), body].concat()).is_ok()
}

/// Writes bytes as they are.
pub(crate) fn raw(stream: &mut TcpStream, bytes: impl AsRef<[u8]>) {
    // A client that went away is what some tests are about.
    let _ = stream.write_all(bytes.as_ref());
}

/// A healthy instance.
pub(crate) fn instance(id: &str, containers: Vec<Container>) -> Arc<Instance> {
    let instance = Instance::new(id.into(), "us-east-1a".into(), containers);
    instance.set_healthy(true);
    Arc::new(instance)
}

/// A variant.
pub(crate) fn variant(name: &str, weight: f64, instances: Vec<Arc<Instance>>) -> VariantRoutes {
    let routing = Routing::LeastOutstanding;
    VariantRoutes { name: name.into(), weight, routing, direct: false, instances }
}

/// The endpoint `e`.
pub(crate) fn routes(variants: Vec<VariantRoutes>) -> Routes {
    Routes {
        name: "e".into(),
        arn: "arn:aws:sagemaker:us-east-1:123456789012:endpoint/e".into(),
        region: "us-east-1".into(),
        account: "123456789012".into(),
        in_service: true,
        asynchronous: None,
        variants,
    }
}

/// A table with the endpoint `e`, of one variant `v`.
pub(crate) fn table(instances: Vec<Arc<Instance>>) -> Table {
    table_within(LIMITS, instances)
}

/// The same with other times.
pub(crate) fn table_within(limits: Limits, instances: Vec<Arc<Instance>>) -> Table {
    let table = Table::new(limits);
    table.set("e", Some(routes(vec![variant("v", 1.0, instances)])));
    table
}
