//! A container that serves, with a warden of its own that nobody but the test attends.

use crate::Scene;
use belljar_domain::serving::{Answer, Ask, DOOR, DOWNLOAD_SECONDS, FOLDER, STOP_GRACE_SECONDS};
use belljar_domain::{Assignment, Event, Outcome, Report, Resources, Serving, StopPolicy, spool};
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, IoSliceMut, Read, Write};
use std::mem::MaybeUninit;
use std::net::TcpStream;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

/// Longer than anything takes; it only keeps a failing test from hanging.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a container that serves is told, as far as tests change it.
#[must_use]
pub fn serving() -> Serving {
    Serving {
        endpoint: "endpoint".to_owned(),
        variant: "AllTraffic".to_owned(),
        container: "primary".to_owned(),
        bind_to_port: None,
        model: None,
        models: None,
        download_seconds: DOWNLOAD_SECONDS,
        startup_seconds: 30,
    }
}

/// An assignment that runs `probe serve` with these arguments.
#[must_use]
pub fn assignment(scene: &Scene, id: &str, arguments: &[&str], serving: Serving) -> Assignment {
    let words = ["serve"].iter().chain(arguments).map(|a| (*a).to_owned());
    Assignment {
        generation: 1,
        job: id.parse().expect("a name"),
        job_arn: "arn:aws:sagemaker:us-east-1:123456789012:endpoint/endpoint".to_owned(),
        region: "us-east-1".to_owned(),
        host: "algo-1".parse().expect("a name"),
        cluster: None,
        instance_type: "ml.m5.large".to_owned(),
        group: belljar_domain::cluster::ONE_GROUP.to_owned(),
        image: "probe".to_owned(),
        entrypoint: Vec::new(),
        arguments: words.collect(),
        environment: BTreeMap::new(),
        hyperparameters: BTreeMap::new(),
        channels: Vec::new(),
        output: scene.output().display().to_string(),
        output_compression: belljar_domain::OutputCompression::Gzip,
        checkpoints: None,
        notices: Vec::new(),
        replace_output: true,
        resources: Resources { cpu_millis: None, memory_bytes: None, processes: 512 },
        best_effort_limits: true,
        stop: StopPolicy { max_runtime_seconds: 1, grace_seconds: STOP_GRACE_SECONDS },
        metrics: Vec::new(),
        serving: Some(Box::new(serving)),
        begun: None,
        internet: false,
        role: None,
        vpc: None,
    }
}

/// A warden and its container.
#[derive(Debug)]
pub struct Server {
    folder: PathBuf,
    warden: Child,
}

impl Server {
    /// Starts the warden, with variables of its own.
    #[must_use]
    pub fn start(scene: &Scene, assignment: &Assignment, variables: &[(&str, &str)]) -> Self {
        let folder = scene.dir(&format!("state/{FOLDER}/{}", assignment.job));
        for above in ["state", &format!("state/{FOLDER}")] {
            let _made = scene.dir(above);
        }
        let text = serde_json::to_vec(assignment).expect("JSON");
        let file = scene.file(&format!("state/{FOLDER}/{}/assignment.json", assignment.job), text);
        scene.share(&file);
        let log = File::create(folder.join("warden.log")).expect("a file");
        let mut command = scene.command(scene.tools().warden());
        command.args(["run", "--job"]).arg(&folder).arg("--detached");
        command.envs(variables.iter().copied());
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        Self { folder, warden: command.spawn().expect("the warden") }
    }

    /// The folder of the container.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The warden's number.
    #[must_use]
    pub fn pid(&self) -> i32 {
        i32::try_from(self.warden.id()).expect("a process number")
    }

    /// Every event so far.
    #[must_use]
    pub fn events(&self) -> Vec<Event> {
        let text = |n| fs::read_to_string(self.folder.join("events").join(spool::segment_name(n)));
        let all: String = (1..).map_while(|n| text(n).ok()).collect();
        let whole = all.rfind('\n').map_or("", |end| &all[..=end]);
        let read = |l| serde_json::from_str(l).unwrap_or_else(|e| panic!("{e} in: {l}"));
        whole.lines().map(read).collect()
    }

    /// What has been told of its health.
    #[must_use]
    pub fn health(&self) -> Vec<bool> {
        let healthy = |e| match e {
            Event::Health { healthy, .. } => Some(healthy),
            _ => None,
        };
        self.events().into_iter().filter_map(healthy).collect()
    }

    /// Waits for something. Fails the test if the warden ends before.
    pub fn until(&mut self, what: &str, mut seen: impl FnMut(&Self) -> bool) {
        let began = Instant::now();
        while !seen(self) {
            if let Some(status) = self.warden.try_wait().expect("wait") {
                assert!(seen(self), "it ended ({status}) before {what}: {}", self.account());
                return;
            }
            assert!(began.elapsed() < PATIENCE, "waited in vain for {what}: {}", self.account());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Waits until it is healthy.
    pub fn until_healthy(&mut self) {
        self.until("it was healthy", |s| s.health().last() == Some(&true));
    }

    fn account(&self) -> String {
        let log = fs::read_to_string(self.folder.join("warden.log")).unwrap_or_default();
        format!("{log}\n{:#?}\n{:?}", self.events(), self.report_if_any())
    }

    /// Gives an order.
    pub fn order(&self, word: &str) {
        let fifo = File::options().write(true).open(self.folder.join(spool::ORDERS));
        writeln!(fifo.expect("its orders"), "{word}").expect("an order");
    }

    /// Waits for its end.
    pub fn wait(&mut self) {
        let began = Instant::now();
        while self.warden.try_wait().expect("wait").is_none() {
            assert!(began.elapsed() < PATIENCE, "it does not end: {}", self.account());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Waits for its end and its report.
    #[must_use]
    pub fn end(&mut self) -> Report {
        self.wait();
        self.report_if_any().unwrap_or_else(|| panic!("no report: {}", self.account()))
    }

    fn report_if_any(&self) -> Option<Report> {
        let text = fs::read(self.folder.join("report.json")).ok()?;
        Some(serde_json::from_slice(&text).expect("a report"))
    }

    /// Stops it, and returns its report.
    #[must_use]
    pub fn stop(&mut self) -> Report {
        self.order("stop");
        let report = self.end();
        assert_eq!(report.outcome, Outcome::Stopped, "{report:?}");
        report
    }

    /// Asks at the door.
    ///
    /// # Errors
    /// If nobody is there.
    pub fn ask(&self, ask: &Ask) -> io::Result<(Answer, Option<TcpStream>)> {
        let line = serde_json::to_string(ask).expect("JSON");
        let (answer, stream) = self.say(&format!("{line}\n"))?;
        Ok((serde_json::from_slice(&answer).unwrap_or_else(|e| panic!("{e}: {answer:?}")), stream))
    }

    /// Says anything at the door.
    ///
    /// # Errors
    /// If nobody is there.
    pub fn say(&self, text: &str) -> io::Result<(Vec<u8>, Option<TcpStream>)> {
        let mut door = UnixStream::connect(self.folder.join(DOOR))?;
        door.write_all(text.as_bytes())?;
        let mut answer = vec![0; 4096];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(4))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let mut into = [IoSliceMut::new(&mut answer)];
        let got = rustix::net::recvmsg(&door, &mut into, &mut control, RecvFlags::CMSG_CLOEXEC)?;
        let mut descriptors: Vec<OwnedFd> = Vec::new();
        for message in control.drain() {
            if let RecvAncillaryMessage::ScmRights(fds) = message {
                descriptors.extend(fds);
            }
        }
        answer.truncate(got.bytes);
        assert!(descriptors.len() <= 1, "{descriptors:?}");
        let mut rest = Vec::new();
        door.read_to_end(&mut rest)?;
        Ok(([answer, rest].concat(), descriptors.pop().map(TcpStream::from)))
    }

    /// A connection to the container.
    #[must_use]
    pub fn connect(&self) -> TcpStream {
        match self.ask(&Ask::Connect).expect("the door") {
            (Answer::Done, Some(stream)) => {
                stream.set_nonblocking(false).expect("a socket");
                stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
                stream
            }
            other => panic!("{other:?}"),
        }
    }

    /// `POST /invocations`: status and body.
    #[must_use]
    pub fn invoke(&self, body: &str) -> (u16, String) {
        self.request("POST", "/invocations", body)
    }

    /// Any request.
    #[must_use]
    pub fn request(&self, method: &str, path: &str, body: &str) -> (u16, String) {
        let mut stream = self.connect();
        let length = body.len();
        let head =
            format!("{method} {path} HTTP/1.1\r\nhost: x\r\ncontent-length: {length}\r\n\r\n");
        stream.write_all(format!("{head}{body}").as_bytes()).expect("a request");
        let mut answer = String::new();
        // A server that dies answers nothing.
        let _ended = stream.read_to_string(&mut answer);
        let status = answer.split(' ').nth(1).and_then(|s| s.parse().ok()).unwrap_or(0);
        let body = answer.split_once("\r\n\r\n").map(|(_, b)| b.to_owned()).unwrap_or_default();
        (status, body)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Only a failed test leaves it running.
        let _ended = self.warden.kill().and_then(|()| self.warden.wait());
    }
}
