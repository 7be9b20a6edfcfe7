//! What is said when the command has ended, if there is something to say.

use super::gate::Carried;
use belljar_domain::attempt::Attempts;
use belljar_domain::{Attempt, Protocol};

/// Attempts that are shown; the rest is counted.
const MAX_ROWS: usize = 20;
/// Characters of a name that are shown: no valid one has more (RFC 1035, 2.3.4).
const MAX_NAME: usize = 255;

/// Lines for standard error; empty if all was quiet.
pub(super) fn text(attempts: &Attempts, carried: &Carried) -> String {
    let mut text = String::new();
    if carried.no_service > 0 {
        let n = carried.no_service;
        text.push_str(&format!(
            "belljar: the service did not answer {n} connection{}: is it still up?\n",
            s(n)
        ));
    }
    if carried.too_many > 0 {
        let (n, most) = (carried.too_many, Carried::MOST);
        text.push_str(&format!(
            "belljar: {n} connection{} closed: there were {most} at once\n",
            if n == 1 { " was" } else { "s were" }
        ));
    }
    let total = attempts.total();
    if total == 0 {
        return text;
    }
    text.push_str(&format!(
        "belljar: the command tried to reach what is not AWS; {}:\n",
        if total == 1 { "it was refused" } else { "all was refused" }
    ));
    for attempt in attempts.targets.iter().take(MAX_ROWS) {
        text.push_str(&row(attempt));
    }
    let hidden = attempts.targets.len().saturating_sub(MAX_ROWS) as u64;
    if hidden > 0 {
        text.push_str(&format!("  and {hidden} further target{}\n", s(hidden)));
    }
    let unknown = attempts.beyond + attempts.lost;
    if unknown > 0 {
        text.push_str(&format!(
            "  and {unknown} more time{}, too fast or too many to list\n",
            s(unknown)
        ));
    }
    text
}

fn s(n: u64) -> &'static str {
    if n == 1 { "" } else { "s" }
}

fn row(a: &Attempt) -> String {
    let how = match a.protocol {
        Protocol::Tcp => "tcp",
        Protocol::Udp => "udp",
        Protocol::Icmp => "icmp",
        Protocol::Dns => "dns",
        Protocol::Other => "ip",
    };
    let mut place = match (a.address, a.port) {
        (Some(ip), Some(port)) => std::net::SocketAddr::new(ip, port).to_string(),
        (Some(ip), None) => ip.to_string(),
        (None, _) => String::new(),
    };
    if let Some(name) = &a.name {
        if !place.is_empty() {
            place.push(' ');
        }
        place.push_str(&plain(name));
    }
    format!("  {how:4} {place}  ×{}\n", a.count)
}

/// A name is of the command's choosing: it must not steer the terminal.
fn plain(name: &str) -> String {
    let shown = |c: char| if c.is_ascii_graphic() { c } else { '?' };
    name.chars().take(MAX_NAME).map(shown).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use belljar_domain::Timestamp;

    fn dns(name: &str) -> Attempt {
        let at = Timestamp::from_millis(0);
        Attempt {
            protocol: Protocol::Dns,
            address: None,
            port: None,
            name: Some(name.to_owned()),
            first: at,
            last: at,
            count: 2,
        }
    }

    #[test]
    fn nothing_is_said_of_nothing() {
        assert_eq!(text(&Attempts::default(), &Carried::default()), "");
    }

    #[test]
    fn names_cannot_steer_the_terminal_and_rows_are_bounded() {
        let mut all = Attempts::default();
        all.add(dns("a\u{1b}[2Jb"));
        (0..40).for_each(|n| {
            all.add(dns(&format!("h{n}.example.com")));
        });
        let text = text(&all, &Carried { too_many: 1, no_service: 3 });
        assert!(text.contains("  dns  a?[2Jb  ×2\n"), "{text}");
        assert!(text.contains("and 21 further targets"), "{text}");
        assert!(text.contains("did not answer 3 connections"), "{text}");
        assert_eq!(text.lines().count(), 2 + 1 + MAX_ROWS + 1);
    }
}
