//! Where to: what can be written behind `--to`.

use crate::args_network::ProtocolArg;
use crate::exit::Exit;
use crate::terminal::printable;
use crate::trouble::Trouble;
use belljar_vpc::dns::{is_regional, service_of};
use belljar_vpc::id::InterfaceId;
use belljar_vpc::text::EPHEMERAL;
use belljar_vpc::traffic::{Payload, Transport};
use std::net::{IpAddr, Ipv6Addr};

/// The port of AWS's services.
pub(crate) const HTTPS: u16 = 443;
/// Echo requests of ICMP and ICMPv6.
const ECHO: (u8, u8) = (8, 128);

/// Where to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Target {
    /// As it was written.
    pub(crate) said: String,
    pub(crate) place: Place,
    pub(crate) protocol: ProtocolArg,
    /// None of an echo.
    pub(crate) port: Option<u16>,
}

/// A place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Place {
    Address(IpAddr),
    Interface(InterfaceId),
    /// A service of AWS: `s3`, `sagemaker.api`.
    Service(&'static str),
    /// A host name.
    Host(String),
}

/// The services that there are endpoints for.
const SERVICES: [&str; 7] =
    ["s3", "sagemaker.api", "sagemaker.runtime", "logs", "sts", "ecr.api", "ecr.dkr"];

impl Target {
    /// Whether what is staged for an instance goes there.
    pub(crate) fn is_staged(&self) -> bool {
        self.service("").is_some_and(|(_, service)| service == "s3")
    }

    /// The service that is meant and its region, if it is one of those that there are endpoints for:
    /// by its name, or by that of one of its hosts. `here` is the region of what has no other.
    pub(crate) fn service(&self, here: &str) -> Option<(String, String)> {
        match &self.place {
            Place::Service(service) => Some((here.to_owned(), (*service).to_owned())),
            Place::Host(host) => {
                // Other names of S3 lead past its interface endpoints.
                let regional = is_regional(host);
                service_of(host)
                    .filter(|(_, service)| regional && SERVICES.contains(&service.as_str()))
            }
            Place::Address(_) | Place::Interface(_) => None,
        }
    }

    /// The head of the first packet, to an address.
    pub(crate) fn payload(&self, to: IpAddr) -> Payload {
        let ports = |transport| Payload::Ports {
            transport,
            source: EPHEMERAL,
            destination: self.port.unwrap_or(HTTPS),
        };
        match self.protocol {
            ProtocolArg::Tcp => ports(Transport::Tcp),
            ProtocolArg::Udp => ports(Transport::Udp),
            ProtocolArg::Icmp => {
                let v6 = to.is_ipv6();
                Payload::Icmp { v6, kind: if v6 { ECHO.1 } else { ECHO.0 }, code: 0 }
            }
        }
    }
}

pub(crate) fn protocol_name(protocol: ProtocolArg) -> &'static str {
    match protocol {
        ProtocolArg::Tcp => "tcp",
        ProtocolArg::Udp => "udp",
        ProtocolArg::Icmp => "icmp",
    }
}

/// Reads what was written behind `--to`.
pub(crate) fn parse(text: &str, protocol: ProtocolArg) -> Result<Target, Trouble> {
    if text.contains("://") {
        let trouble = Trouble::new(Exit::Usage, format!("'{text}' is a URL"));
        return Err(trouble.hint("write the host in it and perhaps :PORT, or s3 for a bucket"));
    }
    let (place, port) = split(text)?;
    if protocol == ProtocolArg::Icmp && port.is_some() {
        let trouble = Trouble::new(Exit::Usage, "an echo of ICMP has no port");
        return Err(trouble.hint("leave the port out, or give --protocol tcp"));
    }
    let place = self::place(place)?;
    let port = (protocol != ProtocolArg::Icmp).then(|| port.unwrap_or(HTTPS));
    Ok(Target { said: printable(text), place, protocol, port })
}

fn place(text: &str) -> Result<Place, Trouble> {
    if let Ok(address) = text.parse::<IpAddr>() {
        return Ok(Place::Address(address));
    }
    if text.starts_with(InterfaceId::PREFIX)
        && let Ok(id) = text.parse()
    {
        return Ok(Place::Interface(id));
    }
    let short = belljar_vpc::network::service(text).map_or(text, |(_, short)| short);
    if let Some(service) = SERVICES.iter().find(|service| service.eq_ignore_ascii_case(short)) {
        return Ok(Place::Service(service));
    }
    if let Some(host) = host(text) {
        return Ok(Place::Host(host));
    }
    let trouble = format!("'{text}' is no service, address, host name or network interface");
    Err(Trouble::new(Exit::Usage, trouble)
        .hint(format!("services are {}; addresses as 10.0.1.5:5432", SERVICES.join(", "))))
}

/// A host name of several labels, in lower case and without the dot at its end. No domain at the top
/// is a number (RFC 3696, section 2): what ends in one is an address that was mistyped.
fn host(text: &str) -> Option<String> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_".contains(&b);
    let name = text.strip_suffix('.').unwrap_or(text);
    let (_, top) = name.rsplit_once('.')?;
    let labels = name.split('.').all(|label| !label.is_empty() && label.bytes().all(plain));
    let number = top.bytes().all(|b| b.is_ascii_digit());
    (labels && !number).then(|| name.to_ascii_lowercase())
}

/// A place and a port behind it: `10.0.0.1:80`, `[fd00::1]:80`, `s3:80`.
fn split(text: &str) -> Result<(&str, Option<u16>), Trouble> {
    if text.parse::<Ipv6Addr>().is_ok() {
        return Ok((text, None));
    }
    let (place, port) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((place, "")) => (place, None),
        Some((place, rest)) => (place, Some(rest.strip_prefix(':').unwrap_or(rest))),
        None => text.split_once(':').map_or((text, None), |(place, port)| (place, Some(port))),
    };
    let Some(port) = port else { return Ok((place, None)) };
    match port.parse::<u16>() {
        Ok(number) if number > 0 => Ok((place, Some(number))),
        _ => {
            let trouble = Trouble::new(Exit::Usage, format!("'{port}' is no port"));
            Err(trouble.hint("write a port as 10.0.1.5:5432 or [2001:db8::1]:5432"))
        }
    }
}
