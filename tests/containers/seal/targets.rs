//! What listens on the host itself is out of reach, though the host's own users reach it.

use crate::inside;
use belljar_testkit::{As, Scene};
use std::net::{TcpListener, UdpSocket};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr as UnixAddr, UnixListener};
use std::thread;

/// Listeners on the host's loopback and in its abstract name space, until the value goes.
struct Listeners {
    tcp: Vec<TcpListener>,
    udp: Vec<UdpSocket>,
    name: String,
    _unix: UnixListener,
}

impl Listeners {
    fn start(scene: &Scene) -> Self {
        let name = scene.path().to_str().unwrap().to_owned();
        let address = UnixAddr::from_abstract_name(&name).unwrap();
        let unix = UnixListener::bind_addr(&address).unwrap();
        let tcp = ["127.0.0.1:0", "[::1]:0"].map(|a| TcpListener::bind(a).unwrap()).into();
        let udp: Vec<_> = ["127.0.0.1:0", "[::1]:0"].map(|a| UdpSocket::bind(a).unwrap()).into();
        for socket in &udp {
            let socket = socket.try_clone().unwrap();
            // Ends when an empty packet comes, which `Drop` sends.
            thread::spawn(move || {
                let mut packet = [0; 512];
                while let Ok((1.., from)) = socket.recv_from(&mut packet) {
                    socket.send_to(b"yes", from).unwrap();
                }
            });
        }
        Self { tcp, udp, name, _unix: unix }
    }

    fn targets(&self) -> Vec<String> {
        let tcp = self.tcp.iter().map(|l| l.local_addr().unwrap().to_string());
        let udp = self.udp.iter().map(|s| format!("udp:{}", s.local_addr().unwrap()));
        tcp.chain(udp).chain([format!("abstract:{}", self.name)]).collect()
    }
}

impl Drop for Listeners {
    fn drop(&mut self) {
        for socket in &self.udp {
            let _ended = socket.send_to(&[], socket.local_addr().unwrap());
        }
    }
}

#[test]
fn the_hosts_own_listeners_are_out_of_reach() {
    for who in As::all() {
        let scene = inside::scene(who);
        let listeners = Listeners::start(&scene);
        let targets = listeners.targets();
        assert_eq!(targets.len(), 5);
        let targets: Vec<&str> = targets.iter().map(String::as_str).collect();
        let control = inside::outside(&scene, &[&["attempts", "--outside"], &*targets].concat());
        let (_, lines) = inside::attempts(&scene, "targets", &targets);
        for target in targets {
            assert_eq!(control[target].result, "ok", "{who:?} outside: {target}");
            assert_eq!(lines[target].result, "refused", "{who:?} inside: {target}");
        }
    }
}

/// `algo-1` is the container's own name, and there is no other: neither one that the host's
/// resolver knows nor one that only its files know.
#[test]
fn only_its_own_name_resolves() {
    for who in As::all() {
        let scene = inside::scene(who);
        let known = rustix::system::uname().nodename().to_str().unwrap().to_owned();
        let names = ["ALGO-1".to_owned(), "localhost".to_owned(), "algo-2".to_owned(), known];
        let targets: Vec<String> = names.iter().map(|n| format!("dns:{n}")).collect();
        let targets: Vec<&str> = targets.iter().map(String::as_str).collect();
        let (run, lines) = inside::attempts(&scene, "names", &targets);
        for (name, expected) in names.iter().zip(["ok", "ok", "unresolved", "unresolved"]) {
            assert_eq!(lines[&format!("dns {name}")].result, expected, "{who:?}: {name}");
        }
        assert_eq!(lines["dns algo-1"].value, serde_json::json!(["127.0.0.1"]), "{who:?}");
        let asked: Vec<_> =
            run.report().attempts.targets.iter().filter_map(|t| t.name.as_deref()).collect();
        assert!(asked.contains(&"algo-2") && !asked.contains(&"algo-1"), "{who:?}: {asked:?}");
    }
}
