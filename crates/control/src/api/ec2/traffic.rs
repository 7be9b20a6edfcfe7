//! Protocols and ports as requests have them, and as answers do.

use crate::network::error::{invalid, refused};
use belljar_aws::AwsError;
use belljar_vpc::{Traffic, Transport};
use serde_json::Value;

/// IANA's number of ICMP.
const ICMP: u8 = 1;
/// IANA's number of ICMP for IPv6.
const ICMPV6: u8 = 58;

/// A protocol's name or number; `None` is all of them.
fn number(protocol: &str) -> Result<Option<u8>, AwsError> {
    Ok(match protocol.to_ascii_lowercase().as_str() {
        "-1" | "all" => None,
        "tcp" => Some(Transport::Tcp.number()),
        "udp" => Some(Transport::Udp.number()),
        "icmp" => Some(ICMP),
        "icmpv6" => Some(ICMPV6),
        other => Some(other.parse().map_err(|_| {
            let shown: String = protocol.chars().take(64).collect();
            invalid(format!("Invalid value '{shown}' for IP protocol. Unknown protocol."))
        })?),
    })
}

/// Traffic by a protocol and two numbers: ports of TCP and UDP, type and code of ICMP.
///
/// # Errors
/// If the protocol is none, or the numbers are not its.
pub(super) fn read(
    protocol: &str,
    from: Option<i64>,
    to: Option<i64>,
) -> Result<Traffic, AwsError> {
    let number = match number(protocol)? {
        None => return Ok(Traffic::All),
        Some(number) => number,
    };
    match number {
        ICMP | ICMPV6 => {
            let (Some(kind), Some(code)) = (from, to) else {
                let text = "Invalid value 'Must specify both type and code with ICMP.' for \
                            icmpTypeCode.";
                return Err(invalid(text));
            };
            if kind == -1 && code != -1 {
                let text = format!("ICMP code ({code}) must be -1 if ICMP type is -1");
                return Err(invalid(text));
            }
            let v6 = number == ICMPV6;
            Ok(Traffic::Icmp { v6, kind: byte("type", kind)?, code: byte("code", code)? })
        }
        _ => match transport(number) {
            Some(transport) => ports(transport, from, to),
            None => Ok(Traffic::Protocol { number }),
        },
    }
}

fn transport(number: u8) -> Option<Transport> {
    [Transport::Tcp, Transport::Udp].into_iter().find(|transport| transport.number() == number)
}

fn byte(what: &str, number: i64) -> Result<Option<u8>, AwsError> {
    if number == -1 {
        return Ok(None);
    }
    let read = u8::try_from(number);
    read.map(Some).map_err(|_| invalid(format!("ICMP {what} ({number}) out of range")))
}

fn ports(transport: Transport, from: Option<i64>, to: Option<i64>) -> Result<Traffic, AwsError> {
    let (Some(from), Some(to)) = (from, to) else {
        let text =
            "Invalid value 'Must specify both from and to ports with TCP/UDP.' for portRange.";
        return Err(invalid(text));
    };
    match (u16::try_from(from), u16::try_from(to)) {
        (Ok(from), Ok(to)) if from <= to => Ok(Traffic::Ports { transport, from, to }),
        (Ok(_), Ok(_)) => Err(invalid(format!("Invalid TCP/UDP port range ({from}:{to})"))),
        _ => {
            let wrong = if u16::try_from(from).is_err() { from } else { to };
            Err(refused("InvalidParameterValue", format!("TCP/UDP port ({wrong}) out of range")))
        }
    }
}

/// `IpProtocol`: the name of those that have one.
pub(super) fn name(traffic: &Traffic) -> String {
    match traffic {
        Traffic::All => "-1".into(),
        Traffic::Ports { transport: Transport::Tcp, .. } => "tcp".into(),
        Traffic::Ports { transport: Transport::Udp, .. } => "udp".into(),
        Traffic::Icmp { v6: false, .. } => "icmp".into(),
        Traffic::Icmp { v6: true, .. } => "icmpv6".into(),
        Traffic::Protocol { number } => number.to_string(),
    }
}

/// `Protocol` of a network ACL's entry: always a number.
pub(super) fn protocol(traffic: &Traffic) -> String {
    match traffic {
        Traffic::All => "-1".into(),
        Traffic::Ports { transport, .. } => transport.number().to_string(),
        Traffic::Icmp { v6: false, .. } => ICMP.to_string(),
        Traffic::Icmp { v6: true, .. } => ICMPV6.to_string(),
        Traffic::Protocol { number } => number.to_string(),
    }
}

/// `FromPort` and `ToPort`, which are type and code of ICMP. `None` of what has no such numbers.
pub(super) fn numbers(traffic: &Traffic) -> Option<(i64, i64)> {
    match *traffic {
        Traffic::All | Traffic::Protocol { .. } => None,
        Traffic::Ports { from, to, .. } => Some((from.into(), to.into())),
        Traffic::Icmp { kind, code, .. } => {
            let number = |of: Option<u8>| of.map_or(-1, i64::from);
            Some((number(kind), number(code)))
        }
    }
}

/// In the words of EC2's errors: `TCP, from port: 22, to port: 22`.
pub(super) fn words(traffic: &Traffic) -> String {
    let word = |of: Option<u8>| of.map_or("ALL".to_owned(), |number| number.to_string());
    match *traffic {
        Traffic::All => "ALL".into(),
        Traffic::Ports { transport, from, to } => {
            let name = if transport == Transport::Tcp { "TCP" } else { "UDP" };
            format!("{name}, from port: {from}, to port: {to}")
        }
        Traffic::Icmp { v6, kind, code } => {
            let name = if v6 { "ICMPv6" } else { "ICMP" };
            format!("{name}, type: {}, code: {}", word(kind), word(code))
        }
        Traffic::Protocol { number } => number.to_string(),
    }
}

/// Both numbers as members of an answer; -1 of all traffic where `all` says so.
pub(super) fn put_numbers(shown: &mut Value, traffic: &Traffic, all: bool) {
    let none = all.then_some((-1, -1));
    if let Some((from, to)) = numbers(traffic).or(none) {
        shown["FromPort"] = from.into();
        shown["ToPort"] = to.into();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn traffic_is_read_and_written() {
        for (protocol, numbers, name, protocol_number) in [
            ("tcp", Some((22, 80)), "tcp", "6"),
            ("17", Some((0, 65_535)), "udp", "17"),
            ("icmp", Some((8, -1)), "icmp", "1"),
            ("58", Some((-1, -1)), "icmpv6", "58"),
            ("-1", None, "-1", "-1"),
            ("47", None, "47", "47"),
        ] {
            let (from, to) = numbers.unzip();
            let traffic = read(protocol, from, to).unwrap();
            assert_eq!(super::numbers(&traffic), numbers);
            assert_eq!(
                (super::name(&traffic).as_str(), super::protocol(&traffic).as_str()),
                (name, protocol_number)
            );
        }
        for (protocol, from, to) in [
            ("tcp", None, None),
            ("tcp", Some(2), Some(1)),
            ("udp", Some(-1), Some(1)),
            ("icmp", Some(-1), Some(3)),
            ("icmp", Some(256), Some(-1)),
            ("256", None, None),
            ("fly", None, None),
        ] {
            assert_eq!(read(protocol, from, to).unwrap_err().code, "InvalidParameterValue");
        }
    }
}
