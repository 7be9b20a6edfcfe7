//! A state folder with a fabric, and what is asked of it.

use crate::service::Service;
use belljar_domain::fabric::{Answer, Ask, FOLDER, SOCKET, Status};
use belljar_vpc::network::Description;
use belljar_vpc::sample;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};
use std::io::{IoSlice, IoSliceMut, Read};
use std::mem::MaybeUninit;
use std::net::TcpStream;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Longer than anything takes that comes at all.
pub(crate) const SOON: Duration = Duration::from_secs(30);

/// Two subnets, a gateway endpoint for S3 and an interface endpoint, and just the rules that are
/// needed: an instance `eni-1`, and `eni-2`, which is the endpoint's.
pub(crate) const NETWORK: &str = "
vpc vpc-1 10.0.0.0/16
subnet subnet-a vpc-1 us-east-1a 10.0.1.0/24
subnet subnet-b vpc-1 us-east-1b 10.0.2.0/24
list pl-1 com.amazonaws.us-east-1.s3 AWS 52.216.0.0/15 3.5.0.0/19
group sg-1 vpc-1
  egress tcp 443 pl-1
  egress tcp 443 sg-2
group sg-2 vpc-1
  ingress tcp 443 sg-1
acl acl-1 vpc-1 subnet-a
  ingress 100 allow tcp 1024-65535 0.0.0.0/0
  egress 100 allow tcp 443 0.0.0.0/0
acl acl-2 vpc-1 subnet-b
  ingress 100 allow all 0.0.0.0/0
  egress 100 allow all 0.0.0.0/0
table rtb-1 vpc-1 subnet-a
  pl-1 vpce-1
eni eni-1 subnet-a 10.0.1.10 sg-1
eni eni-2 subnet-b 10.0.2.10 sg-2
gateway vpce-1 vpc-1 com.amazonaws.us-east-1.s3 rtb-1
interface vpce-2 vpc-1 com.amazonaws.us-east-1.sagemaker.api eni-2 private
";

/// An address of S3.
pub(crate) const S3: &str = "52.216.0.1";

pub(crate) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

pub(crate) fn network(text: &str) -> Box<Description> {
    Box::new(sample::read(text).unwrap())
}

pub(crate) struct Scene {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) fabric: Option<Child>,
    pub(crate) service: Service,
    generation: u64,
}

impl Scene {
    /// Nothing is started.
    pub(crate) fn none() -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("service")).unwrap();
        let service = Service::start(&dir.path().join("service/socket"));
        Self { dir, fabric: None, service, generation: 0 }
    }

    /// A fabric without a network.
    pub(crate) fn new() -> Self {
        let mut scene = Self::none();
        scene.start();
        scene
    }

    /// A fabric with [`NETWORK`].
    pub(crate) fn with_network() -> Self {
        let mut scene = Self::new();
        assert_eq!(scene.replace(NETWORK), Answer::Applied { generation: 1 });
        scene
    }

    pub(crate) fn start(&mut self) {
        let program = Command::new(std::env::current_exe().unwrap());
        self.start_with(program, |command| command.spawn().unwrap());
    }

    /// A fabric of this program, started by `spawn`.
    pub(crate) fn start_with(
        &mut self,
        mut program: Command,
        spawn: impl FnOnce(&mut Command) -> Child,
    ) {
        program.args(["fabric", "--state"]).arg(self.dir.path());
        self.fabric = Some(spawn(program.stdin(Stdio::null()).stderr(Stdio::piped())));
        let begun = Instant::now();
        while self.try_ask(&Ask::Status, None).is_err() {
            if let Some(status) = self.fabric.as_mut().unwrap().try_wait().unwrap() {
                let mut said = String::new();
                let stderr = self.fabric.as_mut().unwrap().stderr.as_mut().unwrap();
                stderr.read_to_string(&mut said).unwrap();
                panic!("{status}: {said}");
            }
            assert!(begun.elapsed() < SOON, "the fabric does not listen");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.dir.path().join(FOLDER).join(SOCKET)
    }

    fn try_ask(
        &self,
        ask: &Ask,
        along: Option<BorrowedFd<'_>>,
    ) -> std::io::Result<(Answer, Option<OwnedFd>, UnixStream)> {
        let stream = UnixStream::connect(self.socket())?;
        stream.set_read_timeout(Some(SOON))?;
        let mut line = serde_json::to_vec(ask)?;
        line.push(b'\n');
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        let fds: Vec<BorrowedFd<'_>> = along.into_iter().collect();
        if !fds.is_empty() {
            assert!(control.push(SendAncillaryMessage::ScmRights(&fds)));
        }
        let sent = sendmsg(&stream, &[IoSlice::new(&line)], &mut control, SendFlags::NOSIGNAL)?;
        assert_eq!(sent, line.len());
        let mut bytes = vec![0; 1 << 16];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let mut into = [IoSliceMut::new(&mut bytes)];
        let got = recvmsg(&stream, &mut into, &mut control, RecvFlags::CMSG_CLOEXEC)?.bytes;
        let descriptor = control.drain().find_map(|m| match m {
            RecvAncillaryMessage::ScmRights(mut fds) => fds.next(),
            _ => None,
        });
        Ok((serde_json::from_slice(&bytes[..got])?, descriptor, stream))
    }

    pub(crate) fn ask(&self, ask: &Ask) -> Answer {
        self.try_ask(ask, None).unwrap().0
    }

    pub(crate) fn ask_with(&self, ask: &Ask, along: BorrowedFd<'_>) -> (Answer, UnixStream) {
        let (answer, _, stream) = self.try_ask(ask, Some(along)).unwrap();
        (answer, stream)
    }

    pub(crate) fn replace(&mut self, text: &str) -> Answer {
        self.generation += 1;
        let (generation, region) = (self.generation, "us-east-1".to_owned());
        self.ask(&Ask::Replace { generation, region, description: network(text) })
    }

    pub(crate) fn status(&self) -> Status {
        match self.ask(&Ask::Status) {
            Answer::Status(status) => status,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn connect(&self, host: &str, port: u16) -> Result<TcpStream, Answer> {
        self.connect_from("eni-1", host, port)
    }

    pub(crate) fn connect_from(
        &self,
        interface: &str,
        host: &str,
        port: u16,
    ) -> Result<TcpStream, Answer> {
        let interface = interface.parse().unwrap();
        let ask = Ask::Connect { interface, host: host.to_owned(), port };
        let (answer, descriptor, _) = self.try_ask(&ask, None).unwrap();
        match (answer, descriptor) {
            (Answer::Connected { .. }, Some(fd)) => {
                let stream = TcpStream::from(fd);
                stream.set_nonblocking(false).unwrap();
                stream.set_read_timeout(Some(SOON)).unwrap();
                Ok(stream)
            }
            (answer, _) => Err(answer),
        }
    }

    /// Kills the fabric, and waits for it.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.fabric.take() {
            let _ = child.kill();
            child.wait().unwrap();
        }
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        self.kill();
    }
}

/// An open namespace, for a container's.
pub(crate) fn fd(of: &impl AsFd) -> BorrowedFd<'_> {
    of.as_fd()
}
