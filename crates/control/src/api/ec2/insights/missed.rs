//! What a path names and a packet's way does not have: a way that leads elsewhere is none.

use belljar_vpc::Network;
use belljar_vpc::id::{EndpointId, InterfaceId, InternetGatewayId};
use belljar_vpc::network::RecordId;
use belljar_vpc::reach::{Blocker, Code, Component, Leg, Reach, Reason};

/// Why a way that a packet has is not one from the first of two ids to the second.
pub(super) fn missed(
    network: &Network,
    source: &str,
    destination: Option<&str>,
    reach: &Reach,
) -> Vec<Blocker> {
    // Of one that ends before, what is in its way is told.
    let Some(last) = reach.forward.last().filter(|hop| hop.reason == Reason::Receives) else {
        return Vec::new();
    };
    let passes = |id: &RecordId| {
        reach.forward.iter().any(|hop| matches!(&hop.component, Component::Record(of) if of == id))
    };
    let mut missed = Vec::new();
    if let Some(id) = record(source).filter(|id| !passes(id)) {
        missed.push(blocker(id, "does not come by", &last.component));
    }
    if let Some(id) = destination.and_then(record) {
        let ends = match (&id, &last.component) {
            (RecordId::InternetGateway(_), _) => passes(&id),
            (RecordId::Endpoint(of), Component::Record(RecordId::Interface(at))) => {
                network.endpoint_at(at) == Some(of)
            }
            (id, Component::Record(end)) => id == end,
            _ => false,
        };
        if !ends {
            missed.push(blocker(id, "does not lead to", &last.component));
        }
    }
    missed
}

fn record(id: &str) -> Option<RecordId> {
    if let Ok(id) = id.parse::<InternetGatewayId>() {
        return Some(RecordId::InternetGateway(id));
    }
    if let Ok(id) = id.parse::<EndpointId>() {
        return Some(RecordId::Endpoint(id));
    }
    id.parse::<InterfaceId>().ok().map(RecordId::Interface)
}

fn blocker(id: RecordId, verb: &str, end: &Component) -> Blocker {
    let text = format!("the packet arrives at {end} by a way that {verb} {}", id.as_str());
    let (component, direction) = (Component::Record(id), Leg::Request);
    Blocker { code: Code::NoPath, component, direction, text, fix: None }
}

#[cfg(test)]
mod tests {
    use super::*;
    use belljar_vpc::{Flow, reach, sample};

    const REGION: &str = "vpc vpc-a 10.0.0.0/16\nvpc vpc-b 10.1.0.0/16\n\
        subnet subnet-a vpc-a us-east-1a 10.0.1.0/24\n\
        igw igw-a vpc-a\nigw igw-b vpc-b\n\
        table rtb-a vpc-a subnet-a\n  0.0.0.0/0 igw-a\n  pl-s3 vpce-s3\n\
        list pl-s3 com.amazonaws.us-east-1.s3 AWS 52.216.0.0/15\n\
        gateway vpce-s3 vpc-a com.amazonaws.us-east-1.s3 rtb-a\n\
        group sg-a vpc-a\n  egress all 0.0.0.0/0\n  ingress all 0.0.0.0/0\n\
        eni eni-a subnet-a 10.0.1.10=203.0.113.9 sg-a\neni eni-b subnet-a 10.0.1.11 sg-a\n\
        eni eni-l subnet-a 10.0.1.20 sg-a managed\n\
        interface vpce-l vpc-a com.amazonaws.us-east-1.logs eni-l private\n";

    fn said(from: &str, named: Option<&str>, to: &str) -> Vec<String> {
        let network = Network::new(sample::read(REGION).unwrap()).unwrap();
        let (to, payload) = (to.parse().unwrap(), "tcp 443".parse().unwrap());
        let flow = match from.parse() {
            Ok(id) => Flow::from_interface(id, to, payload),
            Err(_) => Flow::from_internet("8.8.8.8".parse().unwrap(), to, payload),
        };
        let answer = reach(&network, &flow);
        assert!(answer.passes(), "{answer:?}");
        missed(&network, from, named, &answer).into_iter().map(|b| b.text).collect()
    }

    #[test]
    fn a_named_end_must_be_on_the_way() {
        for (from, named, to) in [
            ("igw-a", Some("eni-a"), "203.0.113.9"),
            ("igw-a", None, "203.0.113.9"),
            ("eni-a", Some("igw-a"), "8.8.8.8"),
            ("eni-a", Some("vpce-s3"), "52.216.0.9"),
            ("eni-a", Some("vpce-l"), "10.0.1.20"),
            ("eni-a", Some("eni-b"), "10.0.1.11"),
        ] {
            assert_eq!(said(from, named, to), [""; 0], "{from} {named:?}");
        }
        for (from, named, to, words) in [
            (
                "igw-b",
                Some("eni-a"),
                "203.0.113.9",
                "at eni-a by a way that does not come by igw-b",
            ),
            (
                "igw-a",
                Some("eni-b"),
                "203.0.113.9",
                "at eni-a by a way that does not lead to eni-b",
            ),
            (
                "eni-a",
                Some("igw-b"),
                "8.8.8.8",
                "the internet by a way that does not lead to igw-b",
            ),
            ("eni-a", Some("vpce-s3"), "8.8.8.8", "does not lead to vpce-s3"),
            (
                "eni-a",
                Some("vpce-l"),
                "10.0.1.11",
                "at eni-b by a way that does not lead to vpce-l",
            ),
        ] {
            let said = said(from, named, to);
            assert!(said.len() == 1 && said[0].contains(words), "{from} {named:?}: {said:?}");
        }
    }
}
