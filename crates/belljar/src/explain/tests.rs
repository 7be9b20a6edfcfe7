use super::answer::Answer;
use super::target::Place;
use super::*;
use crate::args_network::ProtocolArg;
use crate::network::testing::{TEXT, network, tags};
use belljar_control::service::{NetworkView, Workload};
use belljar_domain::{VpcConfig, VpcPlacement};
use belljar_vpc::Network;
use belljar_vpc::network::Attachment;
use belljar_vpc::reach::Code;
use serde_json::json;
use std::sync::Arc;

const ARN: &str = "arn:aws:sagemaker:us-east-1:123456789012:training-job/j1";

fn view(network: Network, workloads: Vec<Workload>) -> NetworkView {
    NetworkView { network, tags: Default::default(), workloads }
}

fn job(isolated: bool) -> Workload {
    let config = json!({"Subnets": ["subnet-b"], "SecurityGroupIds": ["sg-train"]});
    let config: VpcConfig = serde_json::from_value(config).unwrap();
    Workload {
        kind: "training job",
        name: "j1".to_owned(),
        arn: ARN.to_owned(),
        placements: vec![(VpcPlacement { config, isolated }, 1)],
        isolated,
    }
}

/// The network of the tests, with the first two interfaces of training given to a job.
fn attached() -> Network {
    let mut description = network(TEXT).description().clone();
    for (id, owner) in [("eni-t1", format!("{ARN}/algo-1")), ("eni-t2", format!("{ARN}0"))] {
        let interface = description.interfaces.get_mut(&id.parse().unwrap()).unwrap();
        let id = "eni-attach-1".parse().unwrap();
        Arc::make_mut(interface).attachment = Some(Attachment { id, owner });
    }
    Network::new(description).unwrap()
}

fn ask(view: &NetworkView, from: &str, to: &str) -> Result<Answer, Trouble> {
    let target = target::parse(to, ProtocolArg::Tcp)?;
    Ok(ask::all(&source::find(from, view)?, &target))
}

#[test]
fn a_job_is_its_interfaces() {
    let view = view(attached(), vec![job(false)]);
    let answer = ask(&view, "j1", "s3").unwrap();
    // The other one is of another job whose name only begins so.
    let ids: Vec<_> = answer.paths.iter().map(|p| p.interface.as_ref().unwrap().as_str()).collect();
    assert_eq!(ids, ["eni-t1"]);
    assert!(answer.passes && answer.sealed.is_none(), "{answer:?}");
}

#[test]
fn a_job_without_interfaces_is_where_it_would_be() {
    let view = view(network(TEXT), vec![job(false)]);
    let answer = ask(&view, "j1", "s3").unwrap();
    let [path] = answer.paths.as_slice() else { panic!("{answer:?}") };
    assert!(path.planned);
    assert_eq!(path.source, Some([10, 0, 2, 4].into()));
    // The group allows S3, but the subnet's table leads to a NAT gateway, where it is allowed, too.
    assert!(answer.passes, "{answer:?}");
}

#[test]
fn a_sealed_job_has_only_the_way_of_what_is_staged() {
    let view = view(attached(), vec![job(true)]);
    let staged = ask(&view, "j1", "s3").unwrap();
    assert_eq!(staged.sealed.as_ref().unwrap().code, Code::NetworkIsolation);
    assert!(staged.passes && staged.paths.len() == 1, "{staged:?}");
    let other = ask(&view, "j1", "10.0.2.20").unwrap();
    assert!(!other.passes && other.paths.is_empty() && other.sealed.is_some(), "{other:?}");
}

#[test]
fn a_sealed_job_in_no_vpc_is_told_so() {
    let nowhere = Workload { placements: vec![], ..job(true) };
    let view = view(network(TEXT), vec![nowhere]);
    let names = Names::new(&view.network, &view.tags);
    for (to, passes) in [("198.51.100.1", false), ("example.com", false), ("s3", true)] {
        let answer = ask(&view, "j1", to).unwrap();
        assert_eq!(answer.sealed.as_ref().unwrap().code, Code::NetworkIsolation);
        assert!(answer.passes == passes && answer.paths.is_empty(), "{answer:?}");
        let said = say::text(&names, &answer, 100);
        assert!(said.contains("this machine's own network") && !said.contains("its interface"));
    }
}

#[test]
fn a_policy_that_is_not_asked_is_named() {
    let said = |policy: Option<&str>, to: &str| {
        let mut description = network(TEXT).description().clone();
        for id in ["vpce-s3", "vpce-sm"] {
            let endpoint = description.endpoints.get_mut(&id.parse().unwrap()).unwrap();
            Arc::make_mut(endpoint).policy = policy.map(str::to_owned);
        }
        let view = view(Network::new(description).unwrap(), vec![]);
        let answer = ask(&view, "eni-t1", to).unwrap();
        assert!(answer.passes, "{answer:?}");
        let named = answer.paths[0].endpoint_policy.as_ref().map(ToString::to_string);
        let text = say::text(&Names::new(&view.network, &view.tags), &answer, 100);
        assert_eq!(text.contains("has a policy"), named.is_some(), "{text}");
        named
    };
    let policy = r#"{"Statement": []}"#;
    assert_eq!(said(Some(policy), "s3").as_deref(), Some("vpce-s3"));
    assert_eq!(said(Some(policy), "sagemaker.api").as_deref(), Some("vpce-sm"));
    assert_eq!(said(None, "s3"), None);
}

#[test]
fn lines_fit_the_terminal() {
    let view = view(network(TEXT), vec![]);
    let tags = tags(&[("sg-train", "training-instances-of-the-team-for-recommendations")]);
    let names = Names::new(&view.network, &tags);
    let answer = ask(&view, "eni-t1", "s3").unwrap();
    let said = anstream::adapter::strip_str(&say::text(&names, &answer, 80)).to_string();
    let wide: Vec<&str> = said.lines().filter(|line| line.chars().count() > 80).collect();
    assert!(wide.is_empty() && said.contains("egress rule"), "{wide:#?}\n{said}");
}

#[test]
fn fixes_are_tried() {
    let view = view(network(TEXT), vec![]);
    let answer = ask(&view, "eni-t1", "10.0.2.20:8080").unwrap();
    let [path] = answer.paths.as_slice() else { panic!("{answer:?}") };
    assert!(!answer.passes && path.reach.blockers.len() > 1, "{answer:?}");
    assert_eq!(path.passes_mended, Some(true));
    let names = Names::new(&view.network, &view.tags);
    let said = say::text(&names, &answer, 100);
    for word in ["ENI_SG_RULES_MISMATCH", "aws ec2 authorize-", "all of these changes it passes"] {
        assert!(said.contains(word), "{word} {said}");
    }
}

#[test]
fn who_cannot_be_found() {
    let view = view(network(TEXT), vec![]);
    for (from, said) in [
        ("j9", "there is no training job or endpoint 'j9'"),
        ("eni-9", "there is no network interface eni-9"),
        ("10.0.1.99", "no network interface has 10.0.1.99"),
    ] {
        let trouble = ask(&view, from, "s3").unwrap_err();
        assert!(trouble.text.contains(said), "{}", trouble.text);
        assert_eq!(trouble.exit, Exit::Usage);
    }
    for (from, said) in [
        ("10.9.9.9", "none of the internet"),
        ("127.0.0.1", "none of the internet"),
        ("::1", "none of the internet"),
    ] {
        let trouble = ask(&view, from, "s3").unwrap_err();
        assert!(trouble.text.contains(said), "{}", trouble.text);
        assert_eq!(trouble.exit, Exit::Usage);
    }
    let nowhere = Workload { placements: vec![], ..job(false) };
    let view = NetworkView { workloads: vec![nowhere], ..view };
    let trouble = ask(&view, "j1", "s3").unwrap_err();
    assert!(trouble.text.contains("training job j1 is in no VPC"), "{}", trouble.text);
    assert_eq!(trouble.exit, Exit::Usage);
    let view = NetworkView { workloads: vec![job(true), job(false)], ..view };
    assert!(ask(&view, "j1", "s3").unwrap_err().text.contains("several"));
}

#[test]
fn by_address() {
    let view = view(network(TEXT), vec![]);
    let answer = ask(&view, "10.0.1.10", "s3").unwrap();
    assert!(answer.passes, "{answer:?}");
    let answer = ask(&view, "198.51.100.7", "203.0.113.6").unwrap();
    assert!(answer.passes && answer.paths[0].interface.is_none(), "{answer:?}");
    // An interface is known on the internet by its public address, and by no other.
    let answer = ask(&view, "198.51.100.7", "eni-w1").unwrap();
    assert!(answer.passes, "{answer:?}");
    let answer = ask(&view, "198.51.100.7", "eni-m1").unwrap();
    assert_eq!(answer.paths[0].reach.blockers[0].code, Code::IgwPrivateIpAssociationForIngress);
}

#[test]
fn a_name_that_others_are_asked_for_is_not_said_to_be_none() {
    let said = |text: &str| {
        let view = view(network(text), vec![]);
        let answer = ask(&view, "eni-m1", "example.com").unwrap();
        answer.paths[0].reach.blockers[0].text.clone()
    };
    let text = said(TEXT);
    assert!(text.contains("name servers") && !text.contains("has no address"), "{text}");
}

#[test]
fn where_to() {
    let said = |text: &str| target::parse(text, ProtocolArg::Tcp).map(|t| (t.place, t.port));
    let address = |text: &str| Place::Address(text.parse().unwrap());
    for (text, place, port) in [
        ("s3", Place::Service("s3"), 443),
        ("com.amazonaws.eu-west-1.sagemaker.api", Place::Service("sagemaker.api"), 443),
        ("logs:80", Place::Service("logs"), 80),
        ("S3", Place::Service("s3"), 443),
        ("10.0.0.1", address("10.0.0.1"), 443),
        ("10.0.0.1:5432", address("10.0.0.1"), 5432),
        ("fd00::1", address("fd00::1"), 443),
        ("[fd00::1]:22", address("fd00::1"), 22),
        ("eni-1:22", Place::Interface("eni-1".parse().unwrap()), 22),
        ("Db.Corp.example.com:5432", Place::Host("db.corp.example.com".into()), 5432),
    ] {
        assert_eq!(said(text).unwrap(), (place, Some(port)), "{text}");
    }
    for bad in [
        "",
        "nowhere",
        "10.0.0.1:0",
        "10.0.0.1:x",
        "10.0.0.1:70000",
        "[fd00::1]22x",
        "a b.c",
        "300.1.1.1",
        "10.0.1",
        "a..b",
        ".",
        "s3://bucket",
    ] {
        assert_eq!(said(bad).unwrap_err().exit, Exit::Usage, "{bad}");
    }
    assert!(target::parse("10.0.0.1:1", ProtocolArg::Icmp).is_err());
}
