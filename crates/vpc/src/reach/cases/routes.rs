//! Routes, gateways and middleboxes.

use super::*;
use Code::*;
use Leg::{Reply, Request};

const S3: &str = "52.216.0.1";
const WEB: &str = "8.8.8.8";

fn by(n: &Network, to: &str) -> Vec<String> {
    let answer = ask(n, "eni-a", to, "tcp 443");
    let routes = answer.forward.iter().filter_map(|h| match &h.reason {
        Reason::Route(to) => Some(format!("{} {to:?}", h.component)),
        Reason::Local(block) => Some(format!("{} local {block}", h.component)),
        _ => None,
    });
    routes.collect()
}

#[test]
fn case_08_the_longest_prefix_then_static_then_lists_then_propagated() {
    let n = network(
        "list pl-x ours 1 8.8.8.0/24 9.0.0.0/8\n\
         table rtb-a vpc-a subnet-a\n  0.0.0.0/0 nat-a propagated\n  8.8.8.0/24 nat-a\n\
         \x20 pl-x pcx-gone\n  9.0.0.0/8 nat-a propagated\n",
    );
    assert_eq!(by(&n, WEB)[0], "rtb-a Cidr(8.8.8.0/24)");
    assert_eq!(codes(&n, "eni-a", "9.0.0.1", "tcp 443")[0], (BadStateRoute, Request));
    assert!(passes(&n, "eni-a", "7.0.0.1", "tcp 443"));
}

#[test]
fn case_08_only_a_static_route_is_more_specific_than_a_local_one() {
    let table = |route: &str| {
        network(&format!(
            "eni eni-m subnet-n 10.0.9.20 sg-open forwards\ntable rtb-a vpc-a subnet-a\n  {route}\n"
        ))
    };
    let n = table("10.0.2.0/24 eni-m");
    assert_eq!(by(&n, "10.0.2.10"), ["rtb-a Cidr(10.0.2.0/24)", "rtb-n local 10.0.0.0/16"]);
    let n = table("10.0.2.0/24 eni-m propagated");
    assert_eq!(by(&n, "10.0.2.10"), ["rtb-a local 10.0.0.0/16"]);
    let n = table("10.0.0.0/16 eni-m");
    assert_eq!(by(&n, "10.0.2.10"), ["rtb-a local 10.0.0.0/16"]);
    // Inside of a subnet no table is asked.
    let n = table("10.0.1.0/24 eni-m");
    assert!(by(&n, "10.0.1.11").is_empty());
    assert!(passes(&n, "eni-a", "10.0.1.11", "tcp 443"));
}

#[test]
fn case_08_a_gateway_endpoint_beats_a_default_route() {
    let n = network(
        "gateway vpce-s3 vpc-a com.amazonaws.us-east-1.s3 rtb-a\n\
         table rtb-a vpc-a subnet-a\n  0.0.0.0/0 nat-a\n  pl-s3 vpce-s3\n",
    );
    let answer = ask(&n, "eni-a", S3, "tcp 443");
    assert!(answer.passes());
    assert_eq!(answer.forward.last().unwrap().component.to_string(), "vpce-s3");
    assert_eq!(answer.forward.last().unwrap().header.source.to_string(), "10.0.1.10");
    assert_eq!(codes(&n, "eni-a", S3, "udp 443"), [(VpceGatewayProtocolRestriction, Request)]);
    assert!(passes(&n, "eni-a", S3, "icmp 8"));
}

#[test]
fn case_08_without_a_route_to_s3_a_gateway_endpoint_is_the_fix() {
    let answer = ask(&network(""), "eni-a", S3, "tcp 443");
    assert_eq!(answer.codes().collect::<Vec<_>>(), [NoRouteToDestination]);
    assert!(answer.blockers[0].text.contains("a NAT gateway would do too"));
    assert_eq!(
        cli(&answer),
        ["aws ec2 create-vpc-endpoint --vpc-id vpc-a --service-name com.amazonaws.us-east-1.s3 \
          --vpc-endpoint-type Gateway --route-table-ids rtb-maina"]
    );
    let n = network("gateway vpce-s3 vpc-a com.amazonaws.us-east-1.s3\n");
    assert_eq!(
        cli(&ask(&n, "eni-a", S3, "tcp 443")),
        ["aws ec2 modify-vpc-endpoint --vpc-endpoint-id vpce-s3 --add-route-table-ids rtb-maina"]
    );
}

#[test]
fn case_08_a_target_that_is_gone_is_a_blackhole() {
    let n = network("table rtb-a vpc-a subnet-a\n  0.0.0.0/0 nat-a\n  8.0.0.0/8 nat-gone\n");
    let answer = ask(&n, "eni-a", WEB, "tcp 443");
    assert_eq!(answer.codes().collect::<Vec<_>>(), [BadStateRoute]);
    assert_eq!(
        cli(&answer),
        ["aws ec2 delete-route --route-table-id rtb-a --destination-cidr-block 8.0.0.0/8"]
    );
}

#[test]
fn case_09_an_internet_gateway_needs_a_public_address() {
    let table = "table rtb-a vpc-a subnet-a\n  0.0.0.0/0 igw-a\n";
    let n = network(table);
    let answer = ask(&n, "eni-a", WEB, "tcp 443");
    assert_eq!(answer.codes().collect::<Vec<_>>(), [IgwPublicIpAssociationForEgress]);
    assert_eq!(
        cli(&answer),
        [
            "EIP=$(aws ec2 allocate-address --domain vpc --query AllocationId --output text)",
            "aws ec2 associate-address --allocation-id $EIP --network-interface-id eni-a \
             --private-ip-address 10.0.1.10",
        ]
    );
    let n = network(&format!("{table}eip eipalloc-a 203.0.113.7 eni-a 10.0.1.10\n"));
    let answer = ask(&n, "eni-a", WEB, "tcp 443");
    assert!(answer.passes());
    assert_eq!(answer.forward.last().unwrap().header.source.to_string(), "203.0.113.7");
    assert_eq!(
        codes(&n, "eni-a", "192.168.0.1", "tcp 443"),
        [(IgwDestinationNotInRfc1918Egress, Request)]
    );
    assert_eq!(
        codes(&n, "eni-a", "100.64.0.1", "tcp 443"),
        [(IgwDestinationNotInRfc6598Egress, Request)]
    );
}

#[test]
fn case_09_inbound_needs_a_group_an_acl_and_a_route_back() {
    let address = "eip eipalloc-a 203.0.113.7 eni-a 10.0.1.10\n";
    let all = format!("{address}table rtb-a vpc-a subnet-a\n  0.0.0.0/0 igw-a\n");
    assert!(passes(&network(&all), WEB, "203.0.113.7", "tcp 443"));
    let n =
        network(&format!("{all}acl acl-a vpc-a subnet-a\neni eni-a subnet-a 10.0.1.10 sg-none\n"));
    let found = codes(&n, WEB, "203.0.113.7", "tcp 443");
    assert_eq!(
        found,
        [(SubnetAclRestriction, Request), (SgHasNoRules, Request), (SubnetAclRestriction, Reply)]
    );
    let found = codes(&network(address), WEB, "203.0.113.7", "tcp 443");
    assert_eq!(found, [(NoRouteToDestination, Reply)]);
    let nat = format!("{address}table rtb-a vpc-a subnet-a\n  0.0.0.0/0 nat-a\n");
    let answer = ask(&network(&nat), WEB, "203.0.113.7", "tcp 443");
    assert_eq!(answer.codes().collect::<Vec<_>>(), [MoreSpecificRoute]);
    assert!(cli(&answer)[0].contains("8.8.8.8/32 --gateway-id igw-a"), "{answer:?}");
    let found = codes(&network(""), WEB, "203.0.113.99", "tcp 443");
    assert_eq!(found, [(IgwPrivateIpAssociationForIngress, Request)]);
    let found = codes(&network(&all), "10.9.9.9", "203.0.113.7", "tcp 443");
    assert_eq!(found, [(IgwSourceNotInRfc1918Ingress, Request)]);
}

#[test]
fn case_09_a_nat_gateway_has_no_group_but_its_subnets_acl() {
    let table = "table rtb-a vpc-a subnet-a\n  0.0.0.0/0 nat-a\n";
    let n = network(table);
    let answer = ask(&n, "eni-a", WEB, "tcp 443");
    assert!(answer.passes());
    let sources: Vec<String> = answer.forward.iter().map(|h| h.header.source.to_string()).collect();
    assert_eq!(
        (sources[0].as_str(), sources.last().unwrap().as_str()),
        ("10.0.1.10", "203.0.113.1")
    );
    let n = network(&format!("{table}acl acl-n vpc-a subnet-n\n"));
    let found = codes(&n, "eni-a", WEB, "tcp 443");
    // In from the interface, out to the internet, in from it, out to the interface.
    let acl = SubnetAclRestriction;
    assert_eq!(found, [(acl, Request), (acl, Request), (acl, Reply), (acl, Reply)]);
    // It takes TCP, UDP and ICMP, and nothing that is for itself.
    assert_eq!(
        codes(&network(table), "eni-a", WEB, "protocol 50")[0],
        (ProtocolRestriction, Request)
    );
    assert_eq!(
        codes(&n, WEB, "203.0.113.1", "tcp 443").last().unwrap().0,
        NgwDestAddressPreservation
    );
    assert!(passes(&network(table), "eni-a", WEB, "icmp 8"));
}

#[test]
fn case_09_peering_is_not_transitive_and_needs_a_route_back() {
    let base = "vpc vpc-b 10.1.0.0/16\nvpc vpc-c 10.2.0.0/16\n\
         subnet subnet-p vpc-b us-east-1a 10.1.1.0/24\nsubnet subnet-q vpc-c us-east-1a 10.2.1.0/24\n\
         group sg-p vpc-b\n  ingress all 0.0.0.0/0\n  egress all 0.0.0.0/0\n\
         group sg-q vpc-c\n  ingress all 0.0.0.0/0\n  egress all 0.0.0.0/0\n\
         eni eni-p subnet-p 10.1.1.10 sg-p\neni eni-q subnet-q 10.2.1.10 sg-q\n\
         peering pcx-ab vpc-a vpc-b active\npeering pcx-bc vpc-b vpc-c active\n\
         table rtb-a vpc-a subnet-a\n  10.1.0.0/16 pcx-ab\n  10.2.0.0/16 pcx-ab\n";
    let n = network(base);
    let answer = ask(&n, "eni-a", "10.1.1.10", "tcp 443");
    assert_eq!(answer.blockers.len(), 1);
    assert_eq!(
        (answer.blockers[0].code, answer.blockers[0].direction),
        (NoRouteToDestination, Reply)
    );
    assert_eq!(
        cli(&answer),
        ["aws ec2 create-route --route-table-id rtb-mainb --destination-cidr-block 10.0.1.0/24 \
          --vpc-peering-connection-id pcx-ab"]
    );
    let back = "table rtb-p vpc-b subnet-p\n  10.0.0.0/16 pcx-ab\n  10.2.0.0/16 pcx-bc\n";
    let n = network(&format!("{base}{back}"));
    assert!(passes(&n, "eni-a", "10.1.1.10", "tcp 443"));
    let found = codes(&n, "eni-a", "10.2.1.10", "tcp 443");
    assert_eq!(found[0], (PcxRequiresAddressInVpcCidr, Request));
    // Nothing joins the two: the fix is a connection.
    let n = network(&base.replace("  10.2.0.0/16 pcx-ab\n", ""));
    let answer = ask(&n, "eni-a", "10.2.1.10", "tcp 443");
    assert_eq!(answer.blockers[0].code, DisconnectedVpcs);
    let lines = cli(&answer);
    assert!(lines[0].starts_with("PCX=$(aws ec2 create-vpc-peering-connection"), "{lines:?}");
    assert!(lines[1].ends_with("--vpc-peering-connection-id $PCX"), "{lines:?}");
}

#[test]
fn case_12_the_source_and_destination_check() {
    let table = |flag: &str| {
        network(&format!(
            "eni eni-m subnet-n 10.0.9.20 sg-open{flag}\ntable rtb-a vpc-a subnet-a\n  10.0.2.0/24 eni-m\n"
        ))
    };
    assert!(passes(&table(" forwards"), "eni-a", "10.0.2.10", "tcp 443"));
    let answer = ask(&table(""), "eni-a", "10.0.2.10", "tcp 443");
    assert_eq!(answer.codes().collect::<Vec<_>>(), [EniSourceDestCheckRestriction]);
    assert_eq!(
        cli(&answer),
        ["aws ec2 modify-network-interface-attribute --network-interface-id eni-m \
          --no-source-dest-check"]
    );
    // A forged source.
    let mut flow = Flow::from_interface(
        "eni-a".parse().unwrap(),
        "10.0.2.10".parse().unwrap(),
        "tcp 443".parse().unwrap(),
    );
    let address = Some("10.0.1.77".parse().unwrap());
    flow.source = crate::Source::Interface { id: "eni-a".parse().unwrap(), address };
    let answer = reach(&network(""), &flow);
    assert_eq!(answer.blockers[0].code, EniSourceDestCheckRestriction);
}

#[test]
fn an_interface_is_itself_and_its_public_address_is_not() {
    let n = network(
        "eni eni-a subnet-a 10.0.1.10=203.0.113.7,10.0.1.12 sg-none\nacl acl-a vpc-a subnet-a\n",
    );
    assert!(passes(&n, "eni-a", "10.0.1.10", "tcp 443"));
    assert!(passes(&n, "eni-a", "10.0.1.12", "tcp 443"));
    assert!(!passes(&n, "eni-a", "203.0.113.7", "tcp 443"));
}

#[test]
fn what_comes_back_to_its_own_sender_without_ports_is_part_of_its_conversation() {
    // Its head is that of an answer, so the groups are not asked for it again; AWS tracks it by
    // address and protocol, too (EC2 User Guide, "Security group connection tracking").
    let n = network(
        "group sg-out vpc-a\n  egress all 0.0.0.0/0\n\
         eni eni-a subnet-a 10.0.1.10=203.0.113.7 sg-out\n\
         table rtb-a vpc-a subnet-a\n  0.0.0.0/0 igw-a\n",
    );
    assert!(passes(&n, "eni-a", "203.0.113.7", "protocol 50"));
    assert!(passes(&n, "eni-a", "203.0.113.7", "udp 53 53"));
    // With two ports, or as an echo, it is a question.
    for asks in ["udp 5353 53", "icmp 8"] {
        assert_eq!(codes(&n, "eni-a", "203.0.113.7", asks), [(SgHasNoRules, Request)], "{asks}");
    }
}

#[test]
fn packets_in_a_circle_end() {
    let n = network(
        "eni eni-m subnet-a 10.0.1.20 sg-open forwards\neni eni-m2 subnet-b 10.0.2.20 sg-open forwards\n\
         table rtb-a vpc-a subnet-a\n  9.0.0.0/8 eni-m2\ntable rtb-b vpc-a subnet-b\n  9.0.0.0/8 eni-m\n",
    );
    assert_eq!(codes(&n, "eni-a", "9.9.9.9", "tcp 443"), [(CannotRoute, Request)]);
}

#[test]
fn ipv6_goes_without_translation() {
    let n = network(
        "vpc vpc-a 10.0.0.0/16 2600:1::/56\n\
         subnet subnet-a vpc-a us-east-1a 10.0.1.0/24 2600:1::/64\n\
         subnet subnet-b vpc-a us-east-1b 10.0.2.0/24 2600:1:0:1::/64\n\
         group sg-six vpc-a\n  ingress all ::/0\n  egress tcp 443 ::/0\n  egress icmpv6 ::/0\n\
         eni eni-a subnet-a 10.0.1.10,2600:1::10 sg-six\neni eni-b subnet-b 10.0.2.10,2600:1:0:1::10 sg-six\n\
         table rtb-a vpc-a subnet-a\n  ::/0 igw-a\n",
    );
    assert!(passes(&n, "eni-a", "2600:1:0:1::10", "tcp 443"));
    assert!(passes(&n, "eni-a", "2600:1:0:1::10", "icmpv6 128"));
    assert!(passes(&n, "eni-a", "2001:db8::1", "tcp 443"));
    assert!(passes(&n, "2001:db8::1", "2600:1::10", "tcp 22"));
    // Nobody has it, and no other place than its VPC could.
    let other = network(
        "vpc vpc-a 10.0.0.0/16 2600:1::/56\nvpc vpc-b 10.1.0.0/16 2600:2::/56\n\
         subnet subnet-a vpc-a us-east-1a 10.0.1.0/24 2600:1::/64\n\
         eni eni-a subnet-a 10.0.1.10,2600:1::10 -\ntable rtb-a vpc-a subnet-a\n  ::/0 igw-a\n",
    );
    let found = codes(&other, "eni-a", "2600:2::1", "tcp 443");
    assert_eq!(found, [(NoPossibleDestination, Request)]);
    assert_eq!(codes(&n, "eni-a", "2001:db8::1", "tcp 22"), [(EniSgRulesMismatch, Request)]);
    assert_eq!(codes(&n, "eni-a2", "2600:1::10", "tcp 22"), [(NoSourceOrDestination, Request)]);
    // ICMP of the other family is none.
    assert_eq!(codes(&n, "eni-a", "2600:1:0:1::10", "icmp 8"), [(NoPath, Request)]);
}

#[test]
fn case_08_what_aws_keeps_for_its_services_is_never_forwarded() {
    let n = network(
        "vpc vpc-a 10.0.0.0/16 2600:1::/56\n\
         subnet subnet-a vpc-a us-east-1a 10.0.1.0/24 2600:1::/64\n\
         eni eni-a subnet-a 10.0.1.10,2600:1::10 sg-open\n\
         group sg-open vpc-a\n  egress all 0.0.0.0/0\n  egress all ::/0\n\
         table rtb-a vpc-a subnet-a\n  0.0.0.0/0 igw-a\n  ::/0 igw-a\n  fd00::/8 eni-n\n",
    );
    for to in ["169.254.169.123", "fd00:ec2::254"] {
        let answer = ask(&n, "eni-a", to, "tcp 80");
        assert_eq!(answer.codes().collect::<Vec<_>>(), [UnknownDestination], "{to}");
        let router = crate::compile(&n, &"vpc-a".parse().unwrap());
        let to = to.parse().unwrap();
        assert!(router.tables.keys().all(|mark| router.route(*mark, to).is_none()), "{to}");
    }
}

#[test]
fn case_08_a_dead_route_is_replaced_and_a_live_one_stays() {
    let lines = |routes: &str| {
        let n = network(&format!("table rtb-a vpc-a subnet-a\n{routes}"));
        let answer = ask(&n, "eni-a", "8.8.8.8", "tcp 443");
        assert_eq!(answer.codes().collect::<Vec<_>>(), [Code::BadStateRoute]);
        cli(&answer).join("\n")
    };
    let to = "--destination-cidr-block";
    // The line for a route that is there is `replace-route`; a deleted one could not be replaced.
    assert_eq!(
        lines("  0.0.0.0/0 nat-gone\n"),
        format!(
            "aws ec2 replace-route --route-table-id rtb-a {to} 0.0.0.0/0 --nat-gateway-id nat-a"
        )
    );
    assert_eq!(
        lines("  8.0.0.0/8 igw-gone\n  0.0.0.0/0 nat-a\n"),
        format!("aws ec2 delete-route --route-table-id rtb-a {to} 8.0.0.0/8")
    );
    // One that leads elsewhere may be wanted by others.
    assert_eq!(
        lines("  8.0.0.0/8 igw-gone\n  0.0.0.0/0 eni-a\n"),
        format!(
            "aws ec2 create-route --route-table-id rtb-a {to} 8.8.8.8/32 --nat-gateway-id nat-a"
        )
    );
}
