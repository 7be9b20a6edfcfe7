//! Encrypted links between instances, in namespaces of the test's own: as root, or as an ordinary
//! user in a user namespace. It has a `main` of its own because namespaces are changed before there
//! are threads.

#![expect(clippy::unwrap_used, reason = "a test says what is wrong by panicking")]
#![expect(clippy::print_stdout, reason = "findings that are no verdict")]

mod capture;
mod job;
mod speed;
mod user;

use belljar_linux::netns::NetNs;
use belljar_linux::privilege::{self, Privilege};
use belljar_linux::tun;
use belljar_vpc::peers::INTERFACE;
use job::{Instance, Job, Kind, SOON, connect, hears, listen};
use libtest_mimic::{Arguments, Failed, Trial};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, UdpSocket};
use std::process::ExitCode;
use std::time::Duration;

type Outcome = Result<(), Failed>;

/// Long enough for a packet that arrives, and for a second handshake.
const NEVER: Duration = Duration::from_secs(2);
/// What is said between instances, and looked for outside of them.
const SECRET: &[u8] = b"the weights of a model that must not be read";

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let entered = if arguments.list { Ok(None) } else { privilege::enter().map(Some) };
    let trial = |name: &str, test: fn() -> Outcome| {
        let who = entered.as_ref().map_err(ToString::to_string).copied();
        Trial::test(name, move || match who {
            Ok(Some(who)) => tun_or_reason(who).and_then(|there| there.map_or(Ok(()), |()| test())),
            Ok(None) => Err("not entered".into()),
            Err(e) => Err(format!("no namespaces to test in: {e}").into()),
        })
    };
    let mut trials = vec![
        trial("instances_reach_each_other", reach),
        trial("who_has_no_key_is_not_heard", stranger),
        trial("nobody_speaks_for_another", forged),
        trial("what_is_said_is_nowhere_in_clear", in_clear),
        trial("a_link_that_is_dropped_is_gone", dropped),
        trial("speed", speed::measure).with_ignored_flag(true),
    ];
    if rustix::process::getuid().is_root() && matches!(&entered, Ok(Some(Privilege::Root))) {
        trials.push(trial("an_ordinary_user_gets_the_same", user::the_same));
        trials.push(trial("an_ordinary_user_without_tun_is_told_why", user::refused));
    }
    libtest_mimic::run(&arguments, trials).exit_code()
}

/// An ordinary user may be kept from TUN devices; then the error that says so is all there is to
/// test. Root may not.
fn tun_or_reason(who: Privilege) -> Result<Option<()>, Failed> {
    match tun::check() {
        Ok(()) => Ok(Some(())),
        Err(e) if who != Privilege::Root => {
            assert_eq!(e.to_string(), "open /dev/net/tun");
            println!("refused: {e}");
            Ok(None)
        }
        Err(e) => Err(format!("{e}: {:?}", e.source).into()),
    }
}

fn reach() -> Outcome {
    let job = Job::new(3, Kind::Encrypted);
    for to in &job.instances {
        let listener = to.listen();
        let port = listener.local_addr().unwrap().port();
        for from in job.instances.iter().filter(|from| from.own != to.own) {
            hears(&listener, from.connect((to.own, port).into()).unwrap());
            // Whole packets, parts of packets, and what has to be cut into several.
            for length in [1, 1_000, 20_000, 60_000] {
                let heard = to.udp(to.own);
                from.udp(from.own).send_to(&vec![7; length], heard.local_addr().unwrap()).unwrap();
                let mut bytes = vec![0; 65_536];
                let (read, sender) = heard.recv_from(&mut bytes).unwrap();
                assert_eq!((read, sender.ip()), (length, from.own.into()));
            }
        }
    }
    bulk(&job.instances[0], &job.instances[1]);
    bulk(&job.instances[1], &job.instances[0]);
    Ok(())
}

/// Much at once arrives whole.
fn bulk(from: &Instance, to: &Instance) {
    let sent: Vec<u8> =
        (0..8_u32 << 20).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let listener = to.listen();
    let mut stream = from.connect((to.own, listener.local_addr().unwrap().port()).into()).unwrap();
    let (mut accepted, _) = listener.accept().unwrap();
    accepted.set_read_timeout(Some(SOON * 4)).unwrap();
    let received = std::thread::scope(|scope| {
        scope.spawn(|| {
            stream.write_all(&sent).unwrap();
            drop(stream);
        });
        let mut received = Vec::new();
        accepted.read_to_end(&mut received).unwrap();
        received
    });
    assert!(received == sent, "{} bytes of {}", received.len(), sent.len());
}

fn stranger() -> Outcome {
    let job = Job::new(2, Kind::Encrypted);
    // It knows the first's key, address and port, and says that it is the second.
    let stranger = job.stranger();
    let [first, second] = job.instances.as_slice() else { unreachable!() };
    let (listener, heard) = (first.listen(), first.udp(first.own));
    let (tcp, udp) = (listener.local_addr().unwrap().port(), heard.local_addr().unwrap());
    let refused = stranger.connect_within((first.own, tcp).into(), NEVER).unwrap_err();
    assert_eq!(refused.kind(), std::io::ErrorKind::TimedOut);
    stranger.udp(stranger.own).send_to(b"?", udp).unwrap();
    nothing(&heard);
    listener.set_nonblocking(true).unwrap();
    assert_eq!(listener.accept().unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
    listener.set_nonblocking(false).unwrap();
    // The control: the same, with the right key.
    hears(&listener, second.connect((first.own, tcp).into()).unwrap());
    second.udp(second.own).send_to(b"!", udp).unwrap();
    assert_eq!(heard.recv(&mut [0; 9]).unwrap(), 1);
    Ok(())
}

fn forged() -> Outcome {
    let job = Job::new(3, Kind::Encrypted);
    let [first, second, third] = job.instances.as_slice() else { unreachable!() };
    let heard = first.udp(first.own);
    let to = heard.local_addr().unwrap();
    // No container can do this: it takes the privilege to give an interface an address.
    job.runtime.block_on(second.net.link((&second.ns, INTERFACE), third.own, &[])).unwrap();
    second.udp(third.own).send_to(b"forged", to).unwrap();
    nothing(&heard);
    for (honest, text) in [(second, "second"), (third, "third")] {
        honest.udp(honest.own).send_to(text.as_bytes(), to).unwrap();
        let mut bytes = [0; 16];
        let (length, sender) = heard.recv_from(&mut bytes).unwrap();
        assert_eq!((&bytes[..length], sender.ip()), (text.as_bytes(), honest.own.into()));
    }
    Ok(())
}

fn nothing(heard: &UdpSocket) {
    heard.set_read_timeout(Some(NEVER)).unwrap();
    assert_eq!(heard.recv(&mut [0; 9]).unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
    heard.set_read_timeout(Some(SOON)).unwrap();
}

fn in_clear() -> Outcome {
    let job = Job::new(2, Kind::Encrypted);
    // No more than the capture has room for while its thread gets no processor.
    let said: Vec<u8> = SECRET.repeat(500);
    let say = |from: &NetNs, to: &NetNs, at: Ipv4Addr| {
        let listener = listen(to, at);
        let mut stream = connect(from, listener.local_addr().unwrap(), SOON).unwrap();
        let (mut accepted, _) = listener.accept().unwrap();
        stream.write_all(&said).unwrap();
        let mut heard = vec![0; said.len()];
        accepted.read_exact(&mut heard).unwrap();
        assert!(heard == said);
    };
    let [first, second] = job.instances.as_slice() else { unreachable!() };
    let capture = capture::start(&job.host);
    say(&first.ns, &second.ns, second.own);
    say(&second.ns, &first.ns, first.own);
    let seen = capture.stop();
    assert!(seen.bytes() > 2 * said.len(), "the datagrams pass here: {}", seen.bytes());
    assert!(!seen.has(SECRET), "in clear");
    // Not even the head of a packet, which has both addresses in a row.
    let head = |from: &Instance, to: &Instance| [from.own.octets(), to.own.octets()].concat();
    assert!(!seen.has(&head(first, second)) && !seen.has(&head(second, first)));
    // The control: said in the same place by the same means, it is seen.
    let capture = capture::start(&job.host);
    say(&job.host, &job.host, Ipv4Addr::LOCALHOST);
    assert!(capture.stop().has(SECRET), "the capture sees nothing at all");
    Ok(())
}

fn dropped() -> Outcome {
    let mut job = Job::new(2, Kind::Encrypted);
    assert_eq!(job.interfaces(0), ["eth0", "lo"]);
    job.instances[0].link = None;
    assert_eq!(job.interfaces(0), ["lo"], "the interface goes with its link");
    assert_eq!(job.interfaces(1), ["eth0", "lo"]);
    Ok(())
}
