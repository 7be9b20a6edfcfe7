//! Before anything starts: whether the network lets through all that instances in a VPC need.

use crate::failure::Blame;
use crate::limits;
use belljar_vpc::id::InterfaceId;
use belljar_vpc::policy::Request;
use belljar_vpc::reach::{Blocker, Call, Code, reach, reach_service};
use belljar_vpc::{Flow, Network, Payload, Transport};
use std::net::IpAddr;

/// The port of S3.
const HTTPS: u16 = 443;
/// Where what a program opens by itself comes from (ip(7), `ip_local_port_range`).
const EPHEMERAL: u16 = 49_152;
/// A port that stands for all that instances of a job may listen on among each other.
const PEERS: u16 = 12_345;
/// IKE and ESP, which the traffic between instances needs if it is encrypted (Developer Guide,
/// "Protect communications between ML compute instances").
pub const IKE: u16 = 500;
const ESP: u8 = 50;

/// What the instances need.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Needs {
    /// What is brought from S3 before they start.
    pub download: Download,
    /// Whether they talk to each other.
    pub peers: bool,
    /// Whether that is encrypted.
    pub encrypted: bool,
    /// What will be asked of S3, to be held against the policy of the endpoint on the way; as far
    /// as it is known.
    pub requests: Vec<Request>,
}

/// What is brought from S3.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Download {
    /// A job's channels.
    Data,
    /// A model.
    Model,
    /// Nothing, but a job without channels still brings its artifacts there.
    Nothing,
    /// Nothing, and nothing is brought there: a container that has its model.
    None,
}

/// What is in the way of one purpose.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Obstacle {
    /// The real service's words where it has some.
    pub text: String,
    /// All that must be mended, each once.
    pub blockers: Vec<Blocker>,
    /// Whether it is about S3.
    pub to_s3: bool,
}

impl Obstacle {
    /// Whether `belljar explain --to s3` shows it: it asks of the way, and of no single request.
    fn is_explained(&self) -> bool {
        self.to_s3 && self.blockers.iter().any(|b| b.code != Code::EndpointPolicyDeny)
    }
}

/// All that is in the way of these instances, by purpose; empty if they can start.
#[must_use]
pub fn preflight(
    network: &Network,
    region: &str,
    instances: &[InterfaceId],
    needs: &Needs,
) -> Vec<Obstacle> {
    let blockers = |from, request| {
        let call = Call { from, region, service: "s3", port: HTTPS, request };
        reach_service(network, &call).blockers
    };
    let (first, others) = needs.requests.split_first().unzip();
    let to_s3 = instances.iter().flat_map(|from| blockers(from, first));
    // The instances differ in their addresses alone.
    let alike = instances.iter().take(1);
    let further = alike.flat_map(|from| {
        others.unwrap_or_default().iter().flat_map(move |r| blockers(from, Some(r)))
    });
    let to_s3 = to_s3.chain(further);
    let mut found = Vec::new();
    if let Some(text) = to_s3_text(needs.download) {
        found.push(Obstacle { text, blockers: once(to_s3), to_s3: true });
    }
    if needs.peers {
        let text = "The instances cannot reach each other: their security groups must allow it, in both directions, from and to themselves";
        let tcp = ports(Transport::Tcp, PEERS);
        found.push(between(network, instances, text, &[tcp]));
    }
    if needs.peers && needs.encrypted {
        let text = "The instances cannot encrypt what they say to each other: their security groups must allow UDP port 500 and protocol 50 (ESP), in both directions, from and to themselves";
        let flows = [ports(Transport::Udp, IKE), Payload::Other { number: ESP }];
        found.push(between(network, instances, text, &flows));
    }
    found.retain(|o| !o.blockers.is_empty());
    found
}

/// `FailureReason` of what [`preflight`] found: the texts with the codes of all that is in the way;
/// the sentences too, if there is room. `whose` is what `belljar explain` takes, where that says more.
#[must_use]
pub fn failure_reason(obstacles: &[Obstacle], whose: &str) -> String {
    let say = |blocker: &dyn Fn(&Blocker) -> String| {
        let parts: Vec<String> = obstacles
            .iter()
            .map(|o| {
                let blockers: Vec<String> = o.blockers.iter().map(blocker).collect();
                format!("{} [{}]", o.text, blockers.join("; "))
            })
            .collect();
        let said = parts.join(". ");
        match obstacles.iter().any(Obstacle::is_explained) {
            true => {
                format!("{said}. `belljar explain --from {whose} --to s3` says how to mend it")
            }
            false => said,
        }
    };
    let long = say(&|b| b.to_string());
    let room = limits::MAX_FAILURE_REASON - "ClientError: ".len();
    let fits = long.len() <= room;
    Blame::Client.reason(&if fits { long } else { say(&|b| format!("{} {}", b.code, b.component)) })
}

/// The real service's texts (contract: AWS operator for Kubernetes, issue 22; endpoints name the
/// model's URL, which is known to whoever knows the endpoint).
fn to_s3_text(download: Download) -> Option<String> {
    const RULES: &str = "Please ensure that the subnet's route table has a route to an S3 VPC endpoint or a NAT device, and both the security groups and the subnet's network ACL allow outbound traffic to S3";
    match download {
        Download::Data => Some(format!("Data download failed:{RULES}")),
        Download::Nothing => Some(format!("Artifact upload failed:{RULES}")),
        Download::Model => Some("Failed to download model data. Please ensure that an S3 VPC endpoint exists in route table or NAT gateway for the VPC mode and the URL is reachable from within the subnets provided".to_owned()),
        Download::None => None,
    }
}

fn ports(transport: Transport, destination: u16) -> Payload {
    Payload::Ports { transport, source: EPHEMERAL, destination }
}

fn between(
    network: &Network,
    instances: &[InterfaceId],
    text: &str,
    payloads: &[Payload],
) -> Obstacle {
    let address = |id: &InterfaceId| network.interfaces.get(id)?.primary().map(IpAddr::V4);
    let mut blockers = Vec::new();
    for from in instances {
        for to in instances.iter().filter(|to| *to != from).filter_map(address) {
            for payload in payloads {
                let flow = Flow::from_interface(from.clone(), to, *payload);
                blockers.extend(reach(network, &flow).blockers);
            }
        }
    }
    Obstacle { text: text.to_owned(), blockers: once(blockers), to_s3: false }
}

/// Each kind at each component once: instances in one subnet with one group meet the same. A policy
/// is named for each thing that it does not allow.
fn once(blockers: impl IntoIterator<Item = Blocker>) -> Vec<Blocker> {
    let mut all: Vec<Blocker> = Vec::new();
    for blocker in blockers {
        let same = |b: &Blocker| {
            (b.code, &b.component, b.direction)
                == (blocker.code, &blocker.component, blocker.direction)
                && (b.code != Code::EndpointPolicyDeny || b.text == blocker.text)
        };
        if !all.iter().any(same) {
            all.push(blocker);
        }
    }
    all
}
