//! Records of packets, in the form of AWS's published examples.

use super::*;
use crate::network::{
    Attachment, Description, Destination, FlowLog, Monitored, PrefixList, PrivateAddress, Subnet,
    TrafficType, Vpc, VpcCidr,
};
use crate::rules::{ICMP, TCP, UDP};
use crate::{Network, network};
use std::collections::BTreeMap;
use std::sync::Arc;

const A: &str = "eni-aaaaaaaa012345678";
const B: &str = "eni-bbbbbbbb012345678";

fn interface(subnet: &str, addresses: &[&str], v6: &[&str], kind: &str) -> network::Interface {
    let one = |a: &&str| PrivateAddress { address: a.parse().unwrap(), public: None };
    network::Interface {
        subnet: subnet.parse().unwrap(),
        addresses: addresses.iter().map(one).collect(),
        addresses_v6: v6.iter().map(|a| a.parse().unwrap()).collect(),
        groups: vec![],
        source_dest_check: true,
        mac: String::new(),
        description: String::new(),
        kind: kind.to_owned(),
        requester_managed: true,
        attachment: Some(Attachment {
            id: "eni-attach-1".parse().unwrap(),
            owner: "somebody".to_owned(),
        }),
    }
}

fn subnet(block: &str, v6: &str) -> Subnet {
    Subnet {
        vpc: "vpc-1".parse().unwrap(),
        zone: "us-east-1a".to_owned(),
        block: block.parse().unwrap(),
        block_v6: Some(v6.parse().unwrap()),
        association_v6: None,
        map_public_ip: false,
        assign_v6: false,
        default_for_zone: false,
    }
}

fn flow_log(of: Monitored, traffic: TrafficType, interval: u16) -> FlowLog {
    let destination = Destination::Logs("flows".to_owned());
    FlowLog { of, traffic, destination, format: DEFAULT.to_owned(), interval, role: None }
}

/// Two subnets, an interface in each, and these flow logs, `fl-0`, `fl-1`, ...
fn network(logs: &[FlowLog]) -> Description {
    let mut d = Description::default();
    let cidr = |id: &str, block: &str| VpcCidr {
        association: format!("vpc-cidr-assoc-{id}").parse().unwrap(),
        block: block.parse().unwrap(),
    };
    let vpc = Vpc {
        cidrs: vec![cidr("1", "10.0.0.0/16"), cidr("2", "2001:db8:1234:a100::/56")],
        dns_support: true,
        dns_hostnames: true,
        dhcp_options: None,
        is_default: false,
    };
    d.vpcs.insert("vpc-1".parse().unwrap(), Arc::new(vpc));
    let one = subnet("10.0.0.0/24", "2001:db8:1234:a100::/64");
    let two = subnet("10.0.1.0/24", "2001:db8:1234:a101::/64");
    d.subnets.insert("subnet-1".parse().unwrap(), Arc::new(one));
    d.subnets.insert("subnet-2".parse().unwrap(), Arc::new(two));
    let a =
        interface("subnet-1", &["10.0.0.62", "10.0.0.63"], &["2001:db8:1234:a100::5"], "interface");
    d.interfaces.insert(A.parse().unwrap(), Arc::new(a));
    let b = interface("subnet-2", &["10.0.1.220"], &[], "natGateway");
    d.interfaces.insert(B.parse().unwrap(), Arc::new(b));
    let list = PrefixList {
        name: "com.amazonaws.us-east-1.s3".to_owned(),
        owner: "AWS".to_owned(),
        v6: false,
        max_entries: 1,
        version: 1,
        entries: BTreeMap::from([("52.216.0.0/15".parse().unwrap(), None)]),
    };
    d.prefix_lists.insert("pl-1".parse().unwrap(), Arc::new(list));
    for (place, log) in logs.iter().enumerate() {
        d.flow_logs.insert(format!("fl-{place}").parse().unwrap(), Arc::new(log.clone()));
    }
    d
}

/// Makes it a checked one: each subnet with the network ACL and the table that it must have.
fn checked(mut d: Description) -> Network {
    let vpc: crate::id::VpcId = "vpc-1".parse().unwrap();
    let associations = d.subnets.keys().enumerate();
    let acl = network::NetworkAcl {
        vpc: vpc.clone(),
        is_default: true,
        ingress: BTreeMap::new(),
        egress: BTreeMap::new(),
        associations: associations
            .map(|(n, s)| (s.clone(), format!("aclassoc-{n}").parse().unwrap()))
            .collect(),
    };
    d.acls.insert("acl-1".parse().unwrap(), Arc::new(acl));
    let table = network::RouteTable {
        vpc,
        main: Some("rtbassoc-1".parse().unwrap()),
        associations: BTreeMap::new(),
        routes: vec![],
    };
    d.route_tables.insert("rtb-1".parse().unwrap(), Arc::new(table));
    Network::new(d).unwrap()
}

fn port(id: &str) -> Option<Port> {
    Some(Port::Interface(id.parse().unwrap()))
}

fn tuple(from: (&str, u16), to: (&str, u16), protocol: u8) -> Tuple {
    Tuple {
        source: from.0.parse().unwrap(),
        destination: to.0.parse().unwrap(),
        protocol,
        source_port: from.1,
        destination_port: to.1,
    }
}

/// Packets that passed.
fn passed(
    from: Option<Port>,
    to: Option<Port>,
    tuple: Tuple,
    packets: u64,
    bytes: u64,
) -> Crossing {
    Crossing { from, to, tuple, packets, bytes, flags: Flags::default(), refused: None }
}

fn see(of: &mut Aggregator, crossing: &Crossing, since: u64, until: u64) {
    for observation in crossing.observations() {
        of.observe(&observation, since, until);
    }
}

/// The lines of all records, as `interface line`.
fn lines(batches: &[Batch], format: &str) -> Vec<String> {
    let format: Format = format.parse().unwrap();
    let mut all = Vec::new();
    for batch in batches {
        for (interface, of) in &batch.interfaces {
            let context = Context {
                account: "123456789010",
                region: "us-east-1",
                interface,
                place: &of.place,
                zone_id: "use1-az1",
            };
            all.extend(of.records.iter().map(|r| r.line(&format, &context)));
        }
    }
    all
}

fn on_vpc(traffic: TrafficType, interval: u16) -> FlowLog {
    flow_log(Monitored::Vpc("vpc-1".parse().unwrap()), traffic, interval)
}

fn one(log: FlowLog) -> Aggregator {
    let mut aggregator = Aggregator::default();
    aggregator.set_network(&checked(network(&[log])), 600);
    aggregator
}

#[test]
fn formats_are_read_and_written() {
    let default: Format = DEFAULT.parse().unwrap();
    assert_eq!((&default, default.version()), (&Format::default(), 2));
    assert_eq!(default.to_string(), DEFAULT);
    assert!(default.header().starts_with("version account-id interface-id srcaddr"));
    let with = |text: &str| text.parse::<Format>();
    assert_eq!(with("${srcaddr} ${vpc-id} ${az-id}").unwrap().version(), 4);
    assert_eq!(with("${traffic-path}").unwrap().version(), 5);
    assert_eq!(with("${version} ${belljar-layer}").unwrap().version(), 2);
    assert_eq!(with("  "), Err(FormatError::Empty));
    assert_eq!(with("${colour}"), Err(FormatError::Unknown("colour".into())));
    assert_eq!(with("srcaddr"), Err(FormatError::Form("srcaddr".into())));
    assert_eq!(with("${reject-reason}"), Err(FormatError::Later("reject-reason".into(), 8)));
}

#[test]
fn case_13_accepted_and_refused_in_the_default_format() {
    let mut all = one(on_vpc(TrafficType::All, 60));
    let ssh = tuple(("172.31.16.139", 20641), ("10.0.0.62", 22), TCP);
    see(&mut all, &passed(Some(Port::Internet), port(A), ssh, 20, 4249), 610, 640);
    let rdp = tuple(("172.31.9.69", 49761), ("10.0.0.62", 3389), TCP);
    let refused = Some(Layer::of(crate::compile::Layer::Ingress));
    let rdp = Crossing { refused, ..passed(Some(Port::Internet), port(A), rdp, 20, 4249) };
    see(&mut all, &rdp, 610, 660);
    let got = lines(&all.close(660, false), DEFAULT);
    let form = "2 123456789010 eni-aaaaaaaa012345678";
    assert_eq!(
        got,
        [
            format!("{form} 172.31.9.69 10.0.0.62 49761 3389 6 20 4249 610 660 REJECT OK"),
            format!("{form} 172.31.16.139 10.0.0.62 20641 22 6 20 4249 610 640 ACCEPT OK"),
            "2 123456789010 eni-bbbbbbbb012345678 - - - - - - - 600 660 - NODATA".to_owned(),
        ]
    );
}

#[test]
fn a_connection_is_four_records_with_its_flags() {
    let mut all = one(on_vpc(TrafficType::All, 60));
    let there = tuple(("10.0.0.62", 43638), ("10.0.1.220", 5001), TCP);
    let back = tuple(("10.0.1.220", 5001), ("10.0.0.62", 43638), TCP);
    for octet in [2, 16, 17] {
        let some = passed(port(A), port(B), there, 2, 100);
        see(&mut all, &Crossing { flags: Flags::of(octet), ..some }, 605, 610);
    }
    for octet in [18, 24, 17] {
        let some = passed(port(B), port(A), back, 1, 50);
        see(&mut all, &Crossing { flags: Flags::of(octet), ..some }, 605, 615);
    }
    let format = "${version} ${subnet-id} ${instance-id} ${srcaddr} ${srcport} ${packets} \
        ${bytes} ${end} ${tcp-flags} ${type} ${az-id} ${flow-direction} ${traffic-path}";
    assert_eq!(
        lines(&all.close(660, false), format),
        [
            "5 subnet-1 - 10.0.1.220 5001 3 150 615 19 IPv4 use1-az1 ingress -",
            "5 subnet-1 - 10.0.0.62 43638 6 300 610 3 IPv4 use1-az1 egress 1",
            "5 subnet-2 - 10.0.0.62 43638 6 300 610 3 IPv4 use1-az1 ingress -",
            "5 subnet-2 - 10.0.1.220 5001 3 150 615 19 IPv4 use1-az1 egress 1",
        ]
    );
}

/// "Security group and network ACL rules": the echo is let in, its answer is not let out.
#[test]
fn case_13_an_answer_that_the_acl_refuses_is_a_record_of_its_own() {
    let mut all = one(flow_log(Monitored::Interface(A.parse().unwrap()), TrafficType::All, 600));
    let echo = tuple(("203.0.113.12", 0), ("10.0.0.62", 0), ICMP);
    see(&mut all, &passed(Some(Port::Internet), port(A), echo, 4, 336), 627, 742);
    let answer = tuple(("10.0.0.62", 0), ("203.0.113.12", 0), ICMP);
    let refused = Some(Layer::of(crate::compile::Layer::AclOut));
    let answer = Crossing { refused, ..passed(port(A), Some(Port::Internet), answer, 4, 336) };
    see(&mut all, &answer, 694, 742);
    let format = "${srcaddr} ${dstaddr} ${srcport} ${protocol} ${packets} ${start} ${end} \
        ${action} ${belljar-layer} ${log-status}";
    assert_eq!(
        lines(&all.close(1200, false), format),
        [
            "203.0.113.12 10.0.0.62 0 1 4 627 742 ACCEPT - OK",
            "10.0.0.62 203.0.113.12 0 1 4 694 742 REJECT nacl OK",
        ]
    );
}

#[test]
fn what_the_receiver_refuses_has_left_the_sender() {
    let mut all = one(on_vpc(TrafficType::All, 60));
    let there = tuple(("10.0.0.62", 4000), ("10.0.1.220", 80), TCP);
    let refused = Some(Layer::of(crate::compile::Layer::Ingress));
    see(&mut all, &Crossing { refused, ..passed(port(A), port(B), there, 1, 60) }, 600, 605);
    let refused = Some(Layer::of(crate::compile::Layer::Egress));
    let other = Tuple { destination_port: 81, ..there };
    see(&mut all, &Crossing { refused, ..passed(port(A), port(B), other, 1, 60) }, 600, 605);
    let got =
        lines(&all.close(660, false), "${interface-id} ${dstport} ${action} ${belljar-layer}");
    let expected = [
        format!("{A} 80 ACCEPT -"),
        format!("{A} 81 REJECT security-group"),
        format!("{B} 80 REJECT security-group"),
    ];
    assert_eq!(got, expected);
}

/// "Traffic through a NAT gateway": the four lines of the NAT gateway's interface.
#[test]
fn case_13_a_nat_gateway_shows_its_own_address_and_the_packets() {
    let mut all = one(flow_log(Monitored::Interface(B.parse().unwrap()), TrafficType::All, 60));
    let (host, client, nat) = (("203.0.113.5", 443), ("10.0.0.62", 4000), ("10.0.1.220", 4000));
    let ways = [
        (port(A), port(B), tuple(client, host, TCP)),
        (port(B), Some(Port::Internet), tuple(nat, host, TCP)),
        (Some(Port::Internet), port(B), tuple(host, nat, TCP)),
        (port(B), port(A), tuple(host, client, TCP)),
    ];
    for (from, to, tuple) in ways {
        see(&mut all, &passed(from, to, tuple, 1, 60), 600, 605);
    }
    let format =
        "${instance-id} ${srcaddr} ${dstaddr} ${pkt-srcaddr} ${pkt-dstaddr} ${traffic-path}";
    assert_eq!(
        lines(&all.close(660, false), format),
        [
            "- 10.0.0.62 10.0.1.220 10.0.0.62 203.0.113.5 -",
            "- 203.0.113.5 10.0.1.220 203.0.113.5 10.0.1.220 -",
            "- 10.0.1.220 203.0.113.5 10.0.1.220 203.0.113.5 8",
            "- 10.0.1.220 10.0.0.62 203.0.113.5 10.0.0.62 1",
        ]
    );
}

#[test]
fn services_secondary_addresses_and_ipv6() {
    let mut all =
        one(flow_log(Monitored::Subnet("subnet-1".parse().unwrap()), TrafficType::All, 60));
    let s3 = tuple(("10.0.0.63", 34210), ("52.217.0.9", 443), TCP);
    see(&mut all, &passed(port(A), Some(Port::Endpoint), s3, 7, 471), 600, 605);
    let v6 = tuple(("2001:db8:ffff::1", 34892), ("2001:db8:1234:a100::5", 22), TCP);
    see(&mut all, &passed(Some(Port::Internet), port(A), v6, 54, 8855), 600, 605);
    let format =
        "${type} ${srcaddr} ${dstaddr} ${pkt-srcaddr} ${pkt-dst-aws-service} ${traffic-path}";
    assert_eq!(
        lines(&all.close(660, false), format),
        [
            "IPv6 2001:db8:ffff::1 2001:db8:1234:a100::5 2001:db8:ffff::1 - -",
            "IPv4 10.0.0.62 52.217.0.9 10.0.0.63 S3 7",
        ]
    );
}

#[test]
fn case_13_what_aws_does_not_record_is_not_recorded() {
    let mut all = one(on_vpc(TrafficType::All, 60));
    let refused = Some(Layer::of(crate::compile::Layer::Source));
    let quiet = [
        ("10.0.0.2", 53, UDP),
        ("169.254.169.253", 53, UDP),
        ("169.254.169.254", 80, TCP),
        ("169.254.170.2", 80, TCP),
        ("169.254.169.123", 123, UDP),
        ("10.0.0.1", 7, TCP),
        ("255.255.255.255", 67, UDP),
    ];
    for (to, at, protocol) in quiet {
        let from = if at == 67 { 68 } else { 5000 };
        let tuple = tuple(("10.0.0.62", from), (to, at), protocol);
        see(&mut all, &Crossing { refused, ..passed(port(A), None, tuple, 1, 60) }, 600, 605);
    }
    let own = tuple(("10.0.0.62", 5000), ("10.0.1.53", 53), UDP);
    see(&mut all, &passed(port(A), None, own, 1, 60), 600, 605);
    let got = lines(&all.close(660, false), "${dstaddr} ${log-status}");
    assert_eq!(got, ["10.0.1.53 OK", "- NODATA"], "a server of one's own is recorded");
}

#[test]
fn case_13_a_flow_log_has_what_it_asked_for() {
    let accept = on_vpc(TrafficType::Accept, 60);
    let reject = flow_log(Monitored::Interface(A.parse().unwrap()), TrafficType::Reject, 600);
    let mut all = Aggregator::default();
    all.set_network(&checked(network(&[accept, reject])), 1205);
    let there = tuple(("10.0.0.62", 4000), ("10.0.1.220", 80), TCP);
    see(&mut all, &passed(port(A), port(B), there, 1, 60), 1210, 1215);
    assert_eq!(all.next_end(), Some(1260));
    let batches = all.close(1260, false);
    assert_eq!(batches.len(), 1);
    assert_eq!((batches[0].flow_log.as_str(), batches[0].start), ("fl-0", 1205));
    assert_eq!(lines(&batches, "${action}"), ["ACCEPT", "ACCEPT"]);
    // There was something, though nothing of what it asked for: no line, and no NODATA either.
    assert_eq!(all.close(1800, false).len(), 1, "NODATA of the other one only");
}

#[test]
fn case_13_beyond_the_bound_is_skipped_and_said() {
    let mut all = Aggregator::with_bound(3);
    all.set_network(&checked(network(&[on_vpc(TrafficType::All, 60)])), 600);
    for source_port in 1..=9 {
        let tuple = tuple(("203.0.113.5", source_port), ("10.0.0.62", 80), TCP);
        see(&mut all, &passed(Some(Port::Internet), port(A), tuple, 1, 60), 600, 605);
    }
    all.lost(&B.parse().unwrap());
    let got = lines(&all.close(660, false), "${interface-id} ${log-status}");
    let mut expected = vec![format!("{A} OK"); 3];
    expected.extend([format!("{A} SKIPDATA"), format!("{B} SKIPDATA")]);
    assert_eq!(got, expected);
    // The next interval has room again.
    let tuple = tuple(("203.0.113.5", 1), ("10.0.0.62", 80), TCP);
    see(&mut all, &passed(Some(Port::Internet), port(A), tuple, 1, 60), 660, 665);
    let got = lines(&all.close(720, false), "${start} ${log-status}");
    assert_eq!(got, ["660 OK", "660 NODATA"]);
}

#[test]
fn an_interface_that_is_gone_is_remembered_to_the_intervals_end() {
    let mut all = one(on_vpc(TrafficType::All, 60));
    let there = tuple(("203.0.113.5", 4000), ("10.0.0.62", 80), TCP);
    let mut less = network(&[on_vpc(TrafficType::All, 60)]);
    less.interfaces.remove(&A.parse().unwrap());
    all.set_network(&checked(less.clone()), 620);
    // What was still in the kernel when it went.
    see(&mut all, &passed(Some(Port::Internet), port(A), there, 1, 60), 615, 620);
    let got = lines(&all.close(660, false), "${interface-id} ${log-status}");
    assert_eq!(got, [format!("{A} OK"), format!("{B} NODATA")]);
    assert_eq!(lines(&all.close(720, false), "${interface-id}"), [B]);
    less.flow_logs.clear();
    all.set_network(&checked(less), 725);
    assert!(all.is_idle() && all.close(780, true).is_empty());
}

#[test]
fn flushing_begins_the_interval_anew_and_long_ones_are_cut() {
    let mut all = one(on_vpc(TrafficType::All, 600));
    for source_port in 1..=2000 {
        let tuple = tuple(("203.0.113.5", source_port), ("10.0.0.62", 80), TCP);
        see(&mut all, &passed(Some(Port::Internet), port(A), tuple, 1, 60), 600, 605);
    }
    let batches = all.close(610, true);
    let held: Vec<usize> =
        batches.iter().map(|b| b.interfaces.values().map(|i| i.records.len()).sum()).collect();
    assert_eq!(held, [1500, 501]);
    assert_eq!((batches[1].part, batches[1].start, batches[1].end), (1, 600, 610));
    assert!(serde_json::to_string(&batches[0]).unwrap().len() < 1 << 20);
    assert_eq!(all.next_end(), Some(1200));
    let got = lines(&all.close(1200, false), "${start} ${end} ${log-status}");
    assert_eq!(got, ["610 1200 NODATA", "610 1200 NODATA"]);
}

#[test]
fn a_clock_that_is_set_back_keeps_no_record_back() {
    let mut all = one(on_vpc(TrafficType::All, 60));
    let one = tuple(("203.0.113.5", 4000), ("10.0.0.62", 80), TCP);
    // A jump forwards, and what was seen until it was set right.
    assert!(!all.close(100_000, false).is_empty());
    see(&mut all, &passed(Some(Port::Internet), port(A), one, 1, 60), 100_000, 100_001);
    // A small step is waited for.
    assert!(all.close(99_950, false).is_empty());
    let got = lines(&all.close(700, false), "${interface-id} ${log-status} ${packets}");
    assert_eq!(got, [format!("{A} OK 1"), format!("{B} NODATA -")]);
    see(&mut all, &passed(Some(Port::Internet), port(A), one, 2, 120), 700, 701);
    let got = lines(&all.close(720, false), "${start} ${end} ${packets}");
    assert_eq!(got, ["700 701 2", "660 720 -"]);
}
