//! Services by their names: DNS, endpoints, policies; and sealed containers.

use super::*;
use crate::network::Description;
use crate::policy::Request;
use crate::reach::{Call, reach_sealed, reach_service};
use Code::*;
use std::sync::Arc;

const LOGS: &str = "
group sg-l vpc-a
  ingress tcp 443 sg-open
eni eni-l subnet-a 10.0.1.20 sg-l
eni eni-l2 subnet-b 10.0.2.20 sg-l
interface vpce-l vpc-a com.amazonaws.us-east-1.logs eni-l,eni-l2 private
";
const TRAINER: &str = "arn:aws:iam::111122223333:role/Trainer";
const S3: &str = "
gateway vpce-s3 vpc-a com.amazonaws.us-east-1.s3 rtb-a
table rtb-a vpc-a subnet-a
  pl-s3 vpce-s3
";

fn call(d: Description, service: &str, request: Option<&Request>) -> Reach {
    let from = "eni-a".parse().unwrap();
    let network = Network::new(d).unwrap();
    let (region, port) = ("us-east-1", 443);
    reach_service(&network, &Call { from: &from, region, service, port, request })
}

fn description(more: &str) -> Description {
    sample::read(&format!("{BASE}{more}")).unwrap()
}

fn found(answer: &Reach) -> Vec<Code> {
    answer.codes().collect()
}

#[test]
fn case_10_an_interface_endpoint_has_its_own_group() {
    let answer = call(description(LOGS), "logs", None);
    assert!(answer.passes(), "{answer:?}");
    // Of the interfaces, that in the caller's zone.
    assert_eq!(answer.forward.last().unwrap().component.to_string(), "eni-l");
    let closed = LOGS.replace("ingress tcp 443 sg-open", "ingress tcp 443 10.0.2.0/24");
    assert_eq!(found(&call(description(&closed), "logs", None)), [EniSgRulesMismatch]);
}

#[test]
fn case_10_private_dns_needs_both_attributes() {
    let without = |support: bool, hostnames: bool| {
        let mut d = description(LOGS);
        let vpc = Arc::make_mut(d.vpcs.get_mut(&"vpc-a".parse().unwrap()).unwrap());
        (vpc.dns_support, vpc.dns_hostnames) = (support, hostnames);
        call(d, "logs", None)
    };
    assert_eq!(found(&without(true, false)), [PrivateDnsDisabled]);
    assert_eq!(found(&without(false, true)), [DnsNameUnresolved]);
    let answer = call(description(&LOGS.replace(" private", "")), "logs", None);
    assert_eq!(found(&answer), [PrivateDnsDisabled]);
    assert_eq!(
        cli(&answer),
        ["aws ec2 modify-vpc-endpoint --vpc-endpoint-id vpce-l --private-dns-enabled"]
    );
}

#[test]
fn case_10_without_an_endpoint_a_name_leads_nowhere() {
    let mut alone = description("");
    alone.internet_gateways.clear();
    assert_eq!(found(&call(alone, "sagemaker.api", None)), [DnsNameUnresolved]);
    // With an internet gateway it leads there, and nothing leads to that one.
    let answer = call(description(""), "sagemaker.api", None);
    assert_eq!(found(&answer), [NoRouteToDestination]);
    assert_eq!(
        cli(&answer),
        ["aws ec2 create-vpc-endpoint --vpc-id vpc-a --service-name \
          com.amazonaws.us-east-1.sagemaker.api --vpc-endpoint-type Interface \
          --private-dns-enabled --subnet-ids subnet-a --security-group-ids sg-open"]
    );
    // What else is closed is told, too.
    let closed = "group sg-x vpc-a\neni eni-a subnet-a 10.0.1.10 sg-x\n";
    let answer = call(description(closed), "sagemaker.api", None);
    assert_eq!(found(&answer), [NoRouteToDestination, SgHasNoRules, SgHasNoRules]);
}

#[test]
fn case_10_the_attributes_come_before_the_endpoint_that_needs_them() {
    let mut alone = description("");
    alone.internet_gateways.clear();
    let vpc = Arc::make_mut(alone.vpcs.get_mut(&"vpc-a".parse().unwrap()).unwrap());
    vpc.dns_hostnames = false;
    let answer = call(alone, "logs", None);
    assert_eq!(found(&answer), [PrivateDnsDisabled, DnsNameUnresolved]);
    let lines = cli(&answer);
    assert!(lines[0].contains("--enable-dns-hostnames"), "{lines:?}");
    assert!(lines[1].contains("--private-dns-enabled"), "{lines:?}");
}

#[test]
fn by_an_internet_gateway_services_are_reached_without_an_endpoint() {
    let public = "
eni eni-a subnet-a 10.0.1.10=203.0.113.7 sg-open
table rtb-a vpc-a subnet-a
  0.0.0.0/0 igw-a
";
    let answer = call(description(public), "sts", None);
    assert!(answer.passes(), "{answer:?}");
    let last = answer.forward.last().unwrap();
    assert_eq!(last.header.destination.to_string(), "192.0.2.1");
    let private = public.replace("=203.0.113.7", "");
    assert!(!call(description(&private), "sts", None).passes());
}

#[test]
fn case_10_an_endpoints_policy_is_asked() {
    let policy = r#"{"Statement":[{"Effect":"Allow","Principal":"*","Action":"s3:GetObject",
        "Resource":"arn:aws:s3:::data/*","Condition":{"StringEquals":{"aws:SourceVpce":"vpce-s3"}}}]}"#;
    let with = |policy: &str, action: &str| {
        let mut d = description(S3);
        let endpoint = Arc::make_mut(d.endpoints.get_mut(&"vpce-s3".parse().unwrap()).unwrap());
        endpoint.policy = Some(policy.to_owned());
        let request = Request {
            action: action.to_owned(),
            resource: "arn:aws:s3:::data/x".to_owned(),
            principal: TRAINER.to_owned(),
            account: "111122223333".to_owned(),
            context: [("aws:PrincipalArn".to_owned(), vec![TRAINER.to_owned()])].into(),
            ..Request::default()
        };
        call(d, "s3", Some(&request))
    };
    assert!(with(policy, "s3:GetObject").passes());
    let answer = with(policy, "s3:PutObject");
    assert_eq!(found(&answer), [EndpointPolicyDeny]);
    // To a gateway endpoint a condition says who asks.
    let line = &cli(&answer)[0];
    assert!(
        line.contains("s3:PutObject") && line.contains(r#""Principal":"*","Resource""#),
        "{line}"
    );
    assert!(
        line.contains(&format!(r#"{{"ArnEquals":{{"aws:PrincipalArn":["{TRAINER}"]}}}}"#)),
        "{line}"
    );
    let deny = r#"{"Statement":[{"Effect":"Deny","Principal":"*","Action":"*","Resource":"*"}]}"#;
    assert!(with(deny, "s3:GetObject").blockers[0].fix.is_none());
}

#[test]
fn s3_needs_a_route_and_nothing_of_dns_but_the_resolver() {
    assert!(call(description(S3), "s3", None).passes());
    let answer = call(description(""), "s3", None);
    assert_eq!(found(&answer), [NoRouteToDestination]);
}

#[test]
fn case_14_a_sealed_container_reaches_its_peers_only() {
    let peer = "10.0.1.11".parse().unwrap();
    assert!(reach_sealed(peer, &[peer]).passes());
    assert_eq!(found(&reach_sealed("8.8.8.8".parse().unwrap(), &[peer])), [NotAPeer]);
    assert_eq!(found(&reach_sealed("8.8.8.8".parse().unwrap(), &[])), [NetworkIsolation]);
}
