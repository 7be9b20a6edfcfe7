//! WireGuard by boringtun in a process of its own, with its TUN devices in two namespaces and its
//! sockets in a third one, on loopback: as Belljar has them on one host. Packets have the size that
//! boringtun chooses: with Belljar's, nothing came through it.

use super::peers::Pair;
use super::tools::{make_folder, output};
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const HOST: &str = "belljar-bench-host";
const DEVICES: [&str; 2] = ["bench0", "bench1"];
const PORTS: [u16; 2] = [51901, 51902];
const HOW: &str = "there is no boringtun-cli (cargo install --locked boringtun-cli --version 0.7.1, or name it by BORINGTUN)";
/// Makes a key pair, in hexadecimal.
const KEYS: &str = "
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
key = X25519PrivateKey.generate()
print(key.private_bytes_raw().hex(), key.public_key().public_bytes_raw().hex())
";

/// The two processes, and what they join.
pub(super) struct Boringtun {
    children: Vec<Child>,
    pair: Pair,
}

impl Boringtun {
    pub(super) fn start(scratch: &Path) -> Result<Self, String> {
        let program =
            PathBuf::from(std::env::var_os("BORINGTUN").unwrap_or("boringtun-cli".into()));
        output(&program.to_string_lossy(), &["--version"]).map_err(|_| HOW.to_owned())?;
        make_folder(scratch)?;
        let _none = output("ip", &["netns", "del", HOST]);
        output("ip", &["netns", "add", HOST])?;
        output("ip", &["-n", HOST, "link", "set", "lo", "up"])?;
        let mut started = Self { children: Vec::new(), pair: Pair::new()? };
        for device in DEVICES {
            let mut command = Command::new("ip");
            command.args(["netns", "exec", HOST]).arg(&program);
            command.args([device, "--foreground", "--disable-drop-privileges"]);
            command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
            started.children.push(command.spawn().map_err(|e| format!("start boringtun: {e}"))?);
        }
        let keys = [keys()?, keys()?];
        for end in 0..2 {
            let (own, other) = (&keys[end], &keys[1 - end]);
            let address = started.pair.address(1 - end);
            configure(
                DEVICES[end],
                &format!(
                    "set=1\nprivate_key={}\nlisten_port={}\npublic_key={}\nendpoint=127.0.0.1:{}\nallowed_ip={address}/32\n\n",
                    own.0,
                    PORTS[end],
                    other.1,
                    PORTS[1 - end]
                ),
            )?;
            let into = started.pair.name(end).to_owned();
            output("ip", &["-n", HOST, "link", "set", DEVICES[end], "netns", &into])?;
            output("ip", &["-n", &into, "link", "set", DEVICES[end], "name", "wg"])?;
        }
        started.pair.bring_up("wg")?;
        Ok(started)
    }

    pub(super) fn pair(&self) -> &Pair {
        &self.pair
    }
}

impl Drop for Boringtun {
    fn drop(&mut self) {
        for child in &mut self.children {
            let _ended = child.kill().and_then(|()| child.wait());
        }
        let _gone = output("ip", &["netns", "del", HOST]);
    }
}

fn keys() -> Result<(String, String), String> {
    let text = output(".venv/bin/python", &["-c", KEYS])?;
    let (private, public) = text.trim().split_once(' ').ok_or("no key pair was made")?;
    Ok((private.to_owned(), public.to_owned()))
}

/// Speaks WireGuard's cross-platform user space configuration protocol.
fn configure(device: &str, text: &str) -> Result<(), String> {
    let path = format!("/var/run/wireguard/{device}.sock");
    let wrong = |e: std::io::Error| format!("configure {device}: {e}");
    let began = Instant::now();
    let mut socket = loop {
        match UnixStream::connect(&path) {
            Err(_) if began.elapsed() < Duration::from_secs(5) => {
                std::thread::sleep(Duration::from_millis(20));
            }
            socket => break socket.map_err(wrong)?,
        }
    };
    socket.write_all(text.as_bytes()).map_err(wrong)?;
    let mut answer = [0; 64];
    let length = socket.read(&mut answer).map_err(wrong)?;
    match String::from_utf8_lossy(&answer[..length]).contains("errno=0") {
        true => Ok(()),
        false => Err(format!("configure {device}: it is refused")),
    }
}
