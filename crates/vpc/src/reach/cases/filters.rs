//! Security groups and network ACLs.

use super::*;
use Code::{EniSgRulesMismatch, SgHasNoRules, SgReferencesNotPreserved, SubnetAclRestriction};
use Leg::{Reply, Request};

#[test]
fn case_01_groups_allow_together_and_nothing_else_passes() {
    let n = network(
        "group sg-x vpc-a\n  ingress tcp 80 10.0.0.0/16\n\
         group sg-y vpc-a\n  ingress tcp 443 10.0.0.0/16\n\
         eni eni-b subnet-b 10.0.2.10 sg-x,sg-y\n",
    );
    assert!(passes(&n, "eni-a", "10.0.2.10", "tcp 80"));
    assert!(passes(&n, "eni-a", "10.0.2.10", "tcp 443"));
    let answer = ask(&n, "eni-a", "10.0.2.10", "tcp 22");
    assert_eq!(answer.codes().collect::<Vec<_>>(), [EniSgRulesMismatch]);
    // The narrowest rule, in the first group.
    assert_eq!(
        cli(&answer),
        ["aws ec2 authorize-security-group-ingress --group-id sg-x --ip-permissions \
          'IpProtocol=tcp,FromPort=22,ToPort=22,IpRanges=[{CidrIp=10.0.1.10/32}]'"]
    );
    let n = network("eni eni-a subnet-a 10.0.1.10 sg-none\neni eni-b subnet-b 10.0.2.10 sg-none\n");
    let found = codes(&n, "eni-a", "10.0.2.10", "tcp 22");
    assert_eq!(found, [(SgHasNoRules, Request), (SgHasNoRules, Request)]);
}

#[test]
fn case_02_groups_are_asked_for_the_first_packet_only() {
    let n = network(
        "group sg-out vpc-a\n  egress tcp 443 0.0.0.0/0\n\
         group sg-in vpc-a\n  ingress tcp 443 0.0.0.0/0\n\
         eni eni-a subnet-a 10.0.1.10 sg-out\neni eni-b subnet-b 10.0.2.10 sg-in\n",
    );
    assert!(passes(&n, "eni-a", "10.0.2.10", "tcp 443"));
    let back = codes(&n, "eni-b", "10.0.1.10", "tcp 443");
    assert_eq!(back, [(SgHasNoRules, Request), (SgHasNoRules, Request)]);
}

#[test]
fn case_03_a_reference_is_the_private_addresses_of_a_groups_interfaces() {
    let more = "group sg-m vpc-a\n  egress all 0.0.0.0/0\n\
         group sg-x vpc-a\n  ingress tcp 443 sg-m\n  ingress tcp 80 sg-gone\n  egress all 0.0.0.0/0\n\
         eni eni-a subnet-a 10.0.1.10=203.0.113.9 sg-m\neni eni-b subnet-b 10.0.2.10=203.0.113.10 sg-x\n";
    let n = network(more);
    assert!(passes(&n, "eni-a", "10.0.2.10", "tcp 443"));
    assert_eq!(codes(&n, "eni-a2", "10.0.2.10", "tcp 443"), [(EniSgRulesMismatch, Request)]);
    // Of a group that is gone: stale.
    assert_eq!(codes(&n, "eni-a", "10.0.2.10", "tcp 80"), [(EniSgRulesMismatch, Request)]);
    // By public addresses.
    let tables = "table rtb-p vpc-a subnet-a subnet-b\n  0.0.0.0/0 igw-a\n";
    let n = network(&format!("{more}{tables}"));
    assert_eq!(codes(&n, "eni-a", "203.0.113.10", "tcp 443"), [(EniSgRulesMismatch, Request)]);
    // Through a middlebox.
    let tables = "eni eni-m subnet-n 10.0.9.20 sg-open forwards\n\
         table rtb-p vpc-a subnet-a\n  10.0.2.0/24 eni-m\n";
    let n = network(&format!("{more}{tables}"));
    assert_eq!(codes(&n, "eni-a", "10.0.2.10", "tcp 443"), [(SgReferencesNotPreserved, Request)]);
}

#[test]
fn case_03_a_reference_reaches_into_a_peered_vpc() {
    let more = |status: &str| {
        network(&format!(
            "vpc vpc-b 10.1.0.0/16\nsubnet subnet-p vpc-b us-east-1a 10.1.1.0/24\n\
             group sg-p vpc-b\n  ingress tcp 443 sg-open\n  egress all 0.0.0.0/0\n\
             eni eni-p subnet-p 10.1.1.10 sg-p\npeering pcx-a vpc-a vpc-b {status}\n\
             table rtb-a vpc-a subnet-a\n  10.1.0.0/16 pcx-a\n\
             table rtb-p vpc-b subnet-p\n  10.0.0.0/16 pcx-a\n"
        ))
    };
    assert!(passes(&more("active"), "eni-a", "10.1.1.10", "tcp 443"));
    let found = codes(&more("pending"), "eni-a", "10.1.1.10", "tcp 443");
    assert_eq!(found, [(Code::BadStateRoute, Request)]);
}

#[test]
fn case_05_acls_are_asked_at_a_subnets_boundary_only() {
    let n = network("acl acl-a vpc-a subnet-a\n");
    assert!(passes(&n, "eni-a", "10.0.1.11", "tcp 443"));
    let found = codes(&n, "eni-a", "10.0.2.10", "tcp 443");
    assert_eq!(found, [(SubnetAclRestriction, Request), (SubnetAclRestriction, Reply)]);
}

#[test]
fn case_05_the_first_entry_decides_and_the_last_denies() {
    let n = network(
        "acl acl-b vpc-a subnet-b\n  ingress 10 allow tcp 443 10.0.1.10/32\n  ingress 20 deny tcp 443 10.0.0.0/16\n\
         \x20 ingress 30 allow all 0.0.0.0/0\n  egress 10 allow tcp 1024-65535 0.0.0.0/0\n",
    );
    assert!(passes(&n, "eni-a", "10.0.2.10", "tcp 443"));
    let answer = ask(&n, "eni-a2", "10.0.2.10", "tcp 443");
    assert_eq!(answer.codes().collect::<Vec<_>>(), [SubnetAclRestriction]);
    assert_eq!(
        cli(&answer),
        ["aws ec2 create-network-acl-entry --network-acl-id acl-b --ingress --rule-number 19 \
          --protocol tcp --port-range From=443,To=443 --cidr-block 10.0.1.11/32 --rule-action allow"]
    );
    assert!(passes(&n, "eni-a2", "10.0.2.10", "tcp 80"));
    // ICMP has no entry for its reply.
    assert_eq!(codes(&n, "eni-a2", "10.0.2.10", "icmp 8"), [(SubnetAclRestriction, Reply)]);
}

#[test]
fn case_05_acls_are_stateless_and_answers_go_to_ephemeral_ports() {
    let entry = |ports: &str| {
        network(&format!(
            "acl acl-a vpc-a subnet-a\n  egress 100 allow tcp 443 0.0.0.0/0\n  ingress 100 allow tcp {ports} 0.0.0.0/0\n"
        ))
    };
    assert!(passes(&entry("1024-65535"), "eni-a", "10.0.2.10", "tcp 443"));
    assert!(passes(&entry("32768-65535"), "eni-a", "10.0.2.10", "tcp 32768 443"));
    let n = entry("32768-65535");
    let answer = ask(&n, "eni-a", "10.0.2.10", "tcp 32767 443");
    assert_eq!(answer.blockers[0].direction, Reply);
    assert!(cli(&answer)[0].contains("From=1024,To=65535"), "{answer:?}");
}

#[test]
fn case_05_a_fix_makes_room_before_the_first_entry() {
    let n = network(
        "acl acl-b vpc-a subnet-b\n  ingress 1 deny all 10.0.1.10/32\n  ingress 2 allow all 0.0.0.0/0\n  egress 1 allow all 0.0.0.0/0\n",
    );
    let answer = ask(&n, "eni-a", "10.0.2.10", "tcp 443");
    let lines = cli(&answer);
    assert_eq!(lines.len(), 3, "{lines:?}");
    assert!(
        lines[0].starts_with("aws ec2 create-network-acl-entry") && lines[0].contains("-number 3 ")
    );
    assert!(
        lines[2].starts_with("aws ec2 replace-network-acl-entry")
            && lines[2].contains("-number 1 ")
    );
}

#[test]
fn case_06_neither_groups_nor_acls_block_the_resolver() {
    let n = network("eni eni-a subnet-a 10.0.1.10 sg-none\nacl acl-a vpc-a subnet-a\n");
    for to in ["10.0.0.2", "169.254.169.253", "10.0.1.1", "10.0.2.1"] {
        assert!(passes(&n, "eni-a", to, "udp 53"), "{to}");
    }
}

#[test]
fn case_07_reserved_addresses_are_nobodys() {
    let n = network("");
    // base+2 of another subnet than the first, base+3, the last, and where nobody is.
    for to in ["10.0.1.2", "10.0.1.3", "10.0.1.255", "10.0.1.99", "10.0.3.1"] {
        assert_eq!(
            codes(&n, "eni-a", to, "tcp 443"),
            [(Code::NoPossibleDestination, Request)],
            "{to}"
        );
    }
    for to in ["169.254.169.254", "127.0.0.1", "224.0.0.1", "0.0.0.0", "255.255.255.255"] {
        assert_eq!(
            codes(&n, "eni-a", to, "tcp 443"),
            [(Code::UnknownDestination, Request)],
            "{to}"
        );
    }
}

#[test]
fn case_11_egress_to_a_gateway_endpoint_names_its_prefix_list() {
    let n = network(
        "group sg-x vpc-a\n  egress tcp 443 10.0.0.0/16\neni eni-a subnet-a 10.0.1.10 sg-x\n\
         gateway vpce-s3 vpc-a com.amazonaws.us-east-1.s3 rtb-a\n\
         table rtb-a vpc-a subnet-a\n  pl-s3 vpce-s3\n",
    );
    let answer = ask(&n, "eni-a", "52.216.0.1", "tcp 443");
    assert_eq!(answer.codes().collect::<Vec<_>>(), [EniSgRulesMismatch]);
    assert!(cli(&answer)[0].contains("PrefixListId=pl-s3"), "{answer:?}");
}

#[test]
fn what_begins_no_conversation_is_dropped() {
    let n = network("");
    for (payload, yes) in
        [("icmp 8", true), ("icmp 13", true), ("icmp 0", false), ("icmp 3/4", false)]
    {
        assert_eq!(passes(&n, "eni-a", "10.0.2.10", payload), yes, "{payload}");
    }
    assert!(passes(&n, "eni-a", "10.0.2.10", "protocol 50"));
}

#[test]
fn the_group_of_an_interface_that_does_not_stay_stands_for_it() {
    let n = network(
        "group sg-job vpc-a\neni eni-a subnet-a 10.0.1.10 sg-job managed\neni eni-a2 subnet-a 10.0.1.11 sg-job managed\n",
    );
    let lines = cli(&ask(&n, "eni-a", "10.0.1.11", "tcp 7777"));
    assert_eq!(lines.len(), 2);
    assert!(lines.iter().all(|l| l.contains("UserIdGroupPairs=[{GroupId=sg-job}]")), "{lines:?}");
}
