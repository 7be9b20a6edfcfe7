//! What can be reached inside, and what cannot; each with its control outside.

use crate::jar::{Jar, Said};
use belljar_testkit::{As, Scene};
use serde_json::Value;
use std::collections::BTreeMap;
use std::net::{TcpListener, UdpSocket};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr as UnixAddr, UnixListener};
use std::process::Stdio;
use std::thread;

/// Says a word to HOST:PORT, closes its half and prints the answer.
const SAY: &str = r#"
import socket, sys
for place in sys.argv[1:]:
    host, port = place.rsplit(":", 1)
    with socket.create_connection((host, int(port)), timeout=20) as s:
        s.sendall(place.encode())
        s.shutdown(socket.SHUT_WR)
        print(s.makefile().read())
"#;

#[test]
fn every_name_of_aws_is_the_service() {
    for who in As::all() {
        let jar = Jar::new(who);
        let places = [
            "sts.us-east-1.amazonaws.com:443",
            "my.dotted.bucket.s3.eu-west-1.amazonaws.com:443",
            "sagemaker.us-east-1.api.aws:443",
            "S3.AmazonAWS.com:80",
            "127.0.0.1:4747",
        ];
        let words = [&["python3", "-c", SAY][..], &places].concat();
        let output = jar.with(&["--at", "127.0.0.1:4747"], &words).output().unwrap();
        let said = Said::of(&output);
        let expected: Vec<String> = places.iter().map(|p| format!("heard {p}")).collect();
        assert_eq!(said.out.lines().collect::<Vec<_>>(), expected, "{who:?} {said:?}");
        assert_eq!((said.err.as_str(), said.code), ("", Some(0)), "{who:?}");
    }
}

/// More at once than wait in any queue, and more bytes than any buffer holds.
#[test]
fn bytes_arrive_as_they_were_sent() {
    const MANY: &str = r#"
import hashlib, os, socket, threading
data = os.urandom(1 << 20)
def one(n):
    with socket.create_connection(("s3.amazonaws.com", 443), timeout=60) as s:
        text = (data.hex() + str(n)).encode()
        s.sendall(text)
        s.shutdown(socket.SHUT_WR)
        got = s.makefile("rb").read()
        assert got == b"heard " + text, (n, len(got))
threads = [threading.Thread(target=one, args=(n,)) for n in range(32)]
[t.start() for t in threads]; [t.join() for t in threads]
print("done")
"#;
    for who in As::all() {
        let jar = Jar::new(who);
        let said = Said::of(&jar.command(&["python3", "-c", MANY]).output().unwrap());
        assert_eq!((said.out.as_str(), said.err.as_str()), ("done\n", ""), "{who:?}");
    }
}

/// Listeners of the host, until the value goes.
struct Host {
    targets: Vec<String>,
    _tcp: Vec<TcpListener>,
    _unix: UnixListener,
    udp: UdpSocket,
}

impl Host {
    fn start(scene: &Scene) -> Self {
        let name = scene.path().to_str().unwrap().to_owned();
        let unix = UnixListener::bind_addr(&UnixAddr::from_abstract_name(&name).unwrap()).unwrap();
        let tcp: Vec<_> = ["127.0.0.1:0", "[::1]:0"].map(|a| TcpListener::bind(a).unwrap()).into();
        let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
        let answers = udp.try_clone().unwrap();
        // Ends when an empty packet comes, which `Drop` sends.
        thread::spawn(move || {
            let mut packet = [0; 512];
            while let Ok((1.., from)) = answers.recv_from(&mut packet) {
                answers.send_to(b"yes", from).unwrap();
            }
        });
        let mut targets: Vec<_> = tcp.iter().map(|l| l.local_addr().unwrap().to_string()).collect();
        targets.push(format!("udp:{}", udp.local_addr().unwrap()));
        targets.push(format!("abstract:{name}"));
        Self { targets, _tcp: tcp, _unix: unix, udp }
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let _ended = self.udp.send_to(&[], self.udp.local_addr().unwrap());
    }
}

fn results(text: &str) -> BTreeMap<String, String> {
    let read = |line: &str| {
        let v: Value = serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"));
        (v["probe"].as_str().unwrap().to_owned(), v["result"].as_str().unwrap().to_owned())
    };
    text.lines().map(read).collect()
}

#[test]
fn the_hosts_listeners_are_out_of_reach() {
    for who in As::all() {
        let jar = Jar::new(who);
        let host = Host::start(&jar.scene);
        let probe = jar.scene.tools().probe().to_str().unwrap().to_owned();
        let targets: Vec<&str> = host.targets.iter().map(String::as_str).collect();
        let words = [&["attempts", "--outside"][..], &targets].concat();
        let control = jar.scene.command(probe.as_ref()).args(&words).output().unwrap();
        let control = results(&Said::of(&control).out);
        let words = [&[probe.as_str()][..], &words].concat();
        let inside = results(&Said::of(&jar.command(&words).output().unwrap()).out);
        for target in targets {
            assert_eq!(control[target], "ok", "{who:?} outside: {target}");
            assert_eq!(inside[target], "refused", "{who:?} inside: {target}");
        }
    }
}

/// Nobody outside is needed to see that these are refused: who listens there is not asked.
#[test]
fn everything_else_is_refused_at_once_and_told() {
    for who in As::all() {
        let jar = Jar::new(who);
        let probe = jar.scene.tools().probe().to_str().unwrap().to_owned();
        let places = ["169.254.169.254:80", "192.0.2.1:443", "[2001:db8::1]:443"];
        let names = ["pypi.example.com:443", "notamazonaws.com:443"];
        let words = [&[probe.as_str(), "connect"][..], &places, &names].concat();
        let said = Said::of(&jar.command(&words).output().unwrap());
        let results = results(&said.out);
        assert!(places.iter().all(|p| results[*p] == "refused"), "{who:?} {results:?}");
        assert!(names.iter().all(|n| results[*n] == "unresolved"), "{who:?} {results:?}");
        for told in places.iter().copied().chain(["pypi.example.com", "notamazonaws.com"]) {
            assert!(said.err.contains(told), "{who:?} {told}: {}", said.err);
        }
        let quiet = Said::of(&jar.with(&["--quiet"], &words).output().unwrap());
        assert_eq!(quiet.err, "", "{who:?}");
    }
}

/// Two jars of one user at a time have nothing of each other.
#[test]
fn another_jar_is_out_of_reach() {
    const HOLD: &str = r#"
import socket, sys
a = socket.create_server(("127.0.0.1", 7654))
b = socket.socket(socket.AF_UNIX); b.bind("\0belljar-other-jar"); b.listen()
socket.create_connection(("127.0.0.1", 7654)).close()
print("held", flush=True)
sys.stdin.read()
"#;
    for who in As::all() {
        let jar = Jar::new(who);
        let probe = jar.scene.tools().probe().to_str().unwrap().to_owned();
        let mut first = jar.command(&["python3", "-c", HOLD]);
        let mut first = first.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut said = [0; 5];
        std::io::Read::read_exact(first.stdout.as_mut().unwrap(), &mut said).unwrap();
        let targets = ["127.0.0.1:7654", "abstract:belljar-other-jar"];
        let words = [&[probe.as_str(), "attempts", "--outside"][..], &targets].concat();
        let second = results(&Said::of(&jar.command(&words).output().unwrap()).out);
        assert!(targets.iter().all(|t| second[*t] == "refused"), "{who:?} {second:?}");
        drop(first.stdin.take());
        assert!(first.wait().unwrap().success(), "{who:?}");
    }
}

/// The command has no power over its network, also as root; and no socket that a network
/// namespace does not confine.
#[test]
fn the_command_cannot_open_the_jar() {
    const SOCKETS: &str = r#"
import ctypes, errno, os, socket
for family in (socket.AF_VSOCK, socket.AF_PACKET):
    try:
        socket.socket(family, socket.SOCK_DGRAM); print("made", family)
    except OSError as e:
        print(errno.errorcode[e.errno])
ctypes.CDLL(None, use_errno=True).syscall(425, 1, ctypes.create_string_buffer(512))
print(errno.errorcode[ctypes.get_errno()])
"#;
    for who in As::all() {
        let jar = Jar::new(who);
        let script = "export PATH=$PATH:/usr/sbin:/sbin
            for try in 'ip link set lo down' 'nft flush ruleset' 'nsenter --net=/proc/1/ns/net true' \
                'umount /etc/resolv.conf' 'umount /proc' 'kill -9 1'; do
                $try 2>/dev/null && echo \"done: $try\"
            done; cat /proc/1/environ 2>/dev/null | head -c 1; ls /proc | grep -c '^[0-9]'; nft --version >/dev/null && echo nft";
        let said = jar.shell(script);
        // The keeper may be signalled, as any process of one's own: as a first process it is deaf.
        let lines: Vec<&str> = said.out.lines().filter(|l| *l != "done: kill -9 1").collect();
        assert!(
            matches!(lines.as_slice(), [n, "nft"] if n.parse::<u32>().unwrap() < 8),
            "{who:?} {said:?}"
        );
        let said = Said::of(&jar.command(&["python3", "-c", SOCKETS]).output().unwrap());
        assert_eq!(said.out, "EPERM\nEPERM\nEPERM\n", "{who:?} {said:?}");
    }
}
