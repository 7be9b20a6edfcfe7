//! Corner cases of AWS's network, each by its number in the list of facts that this crate is
//! built on, and by what AWS's guides say of it.
//!
//! What is no matter of a flow has its tests elsewhere, by the same numbers: connections that a
//! change cuts off (2) in [`crate::compile`], quotas and weights (4) in the service's EC2, which
//! knows of them (`control::api::ec2::{group_rule, route}`, `tests/clients/test_ec2.py`), and flow
//! logs (13) in [`crate::flow_log`].

mod filters;
mod names;
mod routes;

use super::{Code, Leg, Reach, Reason, reach};
use crate::flow::Flow;
use crate::network::Network;
use crate::sample;

/// Two subnets, a third one with a NAT gateway, an internet gateway. Groups let all pass.
const BASE: &str = "
vpc vpc-a 10.0.0.0/16
subnet subnet-a vpc-a us-east-1a 10.0.1.0/24
subnet subnet-b vpc-a us-east-1b 10.0.2.0/24
subnet subnet-n vpc-a us-east-1a 10.0.9.0/24
list pl-s3 com.amazonaws.us-east-1.s3 AWS 52.216.0.0/15
group sg-open vpc-a
  ingress all 0.0.0.0/0
  egress all 0.0.0.0/0
group sg-none vpc-a
eni eni-a subnet-a 10.0.1.10 sg-open
eni eni-a2 subnet-a 10.0.1.11 sg-open
eni eni-b subnet-b 10.0.2.10 sg-open
eni eni-n subnet-n 10.0.9.10 - forwards
igw igw-a vpc-a
eip eipalloc-n 203.0.113.1
nat nat-a subnet-n eni-n eipalloc-n
table rtb-n vpc-a subnet-n
  0.0.0.0/0 igw-a
";

/// The base and what else there is; a later line with an id takes the place of an earlier one.
fn network(more: &str) -> Network {
    Network::new(sample::read(&format!("{BASE}{more}")).unwrap()).unwrap()
}

fn ask(network: &Network, from: &str, to: &str, payload: &str) -> Reach {
    let (to, payload) = (to.parse().unwrap(), payload.parse().unwrap());
    let flow = match from.parse() {
        Ok(address) => Flow::from_internet(address, to, payload),
        Err(_) => Flow::from_interface(from.parse().unwrap(), to, payload),
    };
    reach(network, &flow)
}

/// The codes of what is in the way, and the packets that it stops.
fn codes(network: &Network, from: &str, to: &str, payload: &str) -> Vec<(Code, Leg)> {
    let answer = ask(network, from, to, payload);
    answer.blockers.iter().map(|b| (b.code, b.direction)).collect()
}

fn passes(network: &Network, from: &str, to: &str, payload: &str) -> bool {
    let answer = ask(network, from, to, payload);
    answer.passes()
}

/// The AWS CLI lines of all fixes.
fn cli(answer: &Reach) -> Vec<String> {
    answer.blockers.iter().flat_map(|b| b.fix.iter().flat_map(|f| f.cli.clone())).collect()
}

#[test]
fn a_way_is_told_hop_by_hop() {
    let answer = ask(&network(""), "eni-a", "10.0.2.10", "tcp 443");
    let told = |hops: &[super::Hop]| -> Vec<String> {
        hops.iter().map(|h| format!("{} {:?}", h.component, h.reason)).collect()
    };
    assert_eq!(
        told(&answer.forward),
        [
            "eni-a Sends",
            "sg-open GroupRule(sgr-open0001)",
            "acl-defaulta AclEntry(Egress, 100)",
            "rtb-maina Local(10.0.0.0/16)",
            "acl-defaulta AclEntry(Ingress, 100)",
            "sg-open GroupRule(sgr-open0000)",
            "eni-b Receives",
        ]
    );
    assert_eq!(
        told(&answer.backward),
        [
            "eni-b Sends",
            "acl-defaulta AclEntry(Egress, 100)",
            "rtb-maina Local(10.0.0.0/16)",
            "acl-defaulta AclEntry(Ingress, 100)",
            "eni-a Established",
            "eni-a Receives",
        ]
    );
    assert_eq!(answer.details, [super::DetailCode::AvailabilityZoneCrossed]);
    assert!(matches!(answer.backward[1].reason, Reason::AclEntry(..)));
    let json = serde_json::to_string(&answer).unwrap();
    assert_eq!(serde_json::from_str::<Reach>(&json).unwrap(), answer);
}

#[test]
fn an_answer_with_blockers_is_json_too() {
    let n = network(
        "eni eni-a subnet-a 10.0.1.10 sg-none\ntable rtb-a vpc-a subnet-a\n  0.0.0.0/0 igw-gone\n",
    );
    let answer = ask(&n, "eni-a", "8.8.8.8", "tcp 443");
    assert!(answer.blockers.len() >= 2);
    let json = serde_json::to_string(&answer).unwrap();
    assert_eq!(serde_json::from_str::<Reach>(&json).unwrap(), answer);
    assert!(json.contains("\"code\":\"BAD_STATE_ROUTE\""), "{json}");
}
