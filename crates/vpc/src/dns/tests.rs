use super::*;
use crate::network::{Description, DhcpOptions, HostedZone, RecordSet};
use crate::sample;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

const NETWORK: &str = "
vpc vpc-a 10.0.0.0/16
vpc vpc-b 10.1.0.0/16
subnet subnet-a vpc-a us-east-1a 10.0.1.0/24
subnet subnet-b vpc-a us-east-1b 10.0.2.0/24
group sg-e vpc-a
eni eni-a subnet-a 10.0.1.10=203.0.113.9 sg-e
eni eni-l subnet-a 10.0.1.20 sg-e
eni eni-m subnet-b 10.0.2.20 sg-e
list pl-s3 com.amazonaws.us-east-1.s3 AWS 52.216.0.0/15
interface vpce-l vpc-a com.amazonaws.us-east-1.logs eni-l,eni-m private
interface vpce-s vpc-a com.amazonaws.us-east-1.sagemaker.api eni-l
interface vpce-3 vpc-a com.amazonaws.us-east-1.s3 eni-l
interface vpce-d vpc-a com.amazonaws.us-east-1.ecr.dkr eni-m private
";

fn zone(name: &str, records: &[(&str, RecordType, &str)]) -> HostedZone {
    let mut all: BTreeMap<String, BTreeMap<RecordType, RecordSet>> = BTreeMap::new();
    for (owner, kind, value) in records {
        let set = RecordSet { ttl: 300, values: vec![(*value).to_owned()] };
        all.entry((*owner).to_owned()).or_default().insert(*kind, set);
    }
    HostedZone {
        name: name.to_owned(),
        caller_reference: "once".to_owned(),
        comment: None,
        vpcs: BTreeSet::from(["vpc-a".parse().unwrap()]),
        records: all,
    }
}

fn description() -> Description {
    use RecordType::{A, Cname, Txt};
    let mut d = sample::read(NETWORK).unwrap();
    let corp = zone(
        "corp.example.com.",
        &[
            ("db.corp.example.com.", A, "10.0.1.50"),
            ("db.corp.example.com.", Txt, "\"hello\""),
            ("www.corp.example.com.", Cname, "db.corp.example.com."),
            ("out.corp.example.com.", Cname, "example.com."),
            ("a.circle.corp.example.com.", Cname, "b.circle.corp.example.com."),
            ("b.circle.corp.example.com.", Cname, "a.circle.corp.example.com."),
            ("*.wild.corp.example.com.", A, "10.0.1.60"),
            ("own.wild.corp.example.com.", Txt, "\"x\""),
        ],
    );
    let inner = zone("in.corp.example.com.", &[("x.in.corp.example.com.", A, "10.0.1.70")]);
    d.zones.insert("ZCORP".parse().unwrap(), Arc::new(corp));
    d.zones.insert("ZIN".parse().unwrap(), Arc::new(inner));
    d
}

fn network() -> Network {
    Network::new(description()).unwrap()
}

fn a(network: &Network, name: &str) -> Vec<String> {
    let answer = resolve(network, &"vpc-a".parse().unwrap(), name, RecordType::A);
    answer.addresses().iter().map(ToString::to_string).collect()
}

fn kind(name: &str, kind: RecordType) -> Answer {
    resolve(&network(), &"vpc-a".parse().unwrap(), name, kind)
}

#[test]
fn services_and_hosts_are_told_from_each_other() {
    for (name, service) in [
        ("s3.us-east-1.amazonaws.com", "s3"),
        ("my.bucket.s3.us-east-1.amazonaws.com.", "s3"),
        ("bucket.s3.dualstack.us-east-1.amazonaws.com", "s3"),
        ("bucket.s3.amazonaws.com", "s3"),
        ("api.sagemaker.us-east-1.amazonaws.com", "sagemaker.api"),
        ("runtime.SageMaker.us-east-1.amazonaws.com", "sagemaker.runtime"),
        ("111122223333.dkr.ecr.us-east-1.amazonaws.com", "ecr.dkr"),
        ("logs.us-east-1.amazonaws.com", "logs"),
    ] {
        let (region, found) = service_of(name).unwrap();
        assert_eq!((region.as_str(), found.as_str()), ("us-east-1", service), "{name}");
    }
    assert_eq!(host_of("eu-west-1", "ecr.api"), "api.ecr.eu-west-1.amazonaws.com");
    for other in ["example.com", "amazonaws.com", "us-east-1.amazonaws.com", "sts.amazonaws.com"] {
        assert_eq!(service_of(other), None, "{other}");
    }
}

#[test]
fn private_names_of_endpoints_need_both_attributes() {
    let mut d = description();
    let n = network();
    assert_eq!(a(&n, "logs.us-east-1.amazonaws.com"), ["10.0.1.20", "10.0.2.20"]);
    assert_eq!(a(&n, "1.dkr.ecr.us-east-1.amazonaws.com"), ["10.0.2.20"]);
    // Private DNS of this one is off.
    assert!(a(&n, "api.sagemaker.us-east-1.amazonaws.com").is_empty());
    let vpc = Arc::make_mut(d.vpcs.get_mut(&"vpc-a".parse().unwrap()).unwrap());
    vpc.dns_hostnames = false;
    let n = Network::new(d.clone()).unwrap();
    assert!(a(&n, "logs.us-east-1.amazonaws.com").is_empty());
    assert!(a(&n, "db.corp.example.com").is_empty());
    assert_eq!(a(&n, "s3.us-east-1.amazonaws.com"), ["52.216.0.1"]);
    let vpc = Arc::make_mut(d.vpcs.get_mut(&"vpc-a".parse().unwrap()).unwrap());
    vpc.dns_support = false;
    let n = Network::new(d).unwrap();
    let answer =
        resolve(&n, &"vpc-a".parse().unwrap(), "s3.us-east-1.amazonaws.com", RecordType::A);
    assert_eq!(answer, Answer::NoResolver);
}

#[test]
fn endpoints_have_names_of_their_own() {
    let n = network();
    let names = |id: &str, service: &str, zone: &str| {
        let full = format!("com.amazonaws.us-east-1.{service}");
        let service = crate::services::find(&full, "us-east-1").unwrap();
        service.endpoint_names(&id.parse().unwrap(), "us-east-1", &[zone])
    };
    let of = names("vpce-s", "sagemaker.api", "us-east-1a");
    assert_eq!(a(&n, &of[0]), ["10.0.1.20"]);
    let of = names("vpce-l", "logs", "us-east-1b");
    assert_eq!(a(&n, &of[0]), ["10.0.1.20", "10.0.2.20"]);
    assert_eq!(a(&n, &of[1]), ["10.0.2.20"]);
    let of = names("vpce-3", "s3", "us-east-1a");
    assert_eq!(a(&n, &of[0].replace('*', "my.bucket")), ["10.0.1.20"]);
    let none = |name: &str| assert_eq!(kind(name, RecordType::A), Answer::NoName(vec![]), "{name}");
    none(&names("vpce-gone", "s3", "us-east-1a")[0]);
    none(&names("vpce-l", "logs", "us-east-1c")[1]);
    none(&format!("x.{}", names("vpce-l", "logs", "us-east-1b")[0]));
    none("vpce-l.logs.us-east-1.vpce.amazonaws.com");
}

#[test]
fn instances_have_names() {
    let n = network();
    assert_eq!(a(&n, "ip-10-0-1-10.ec2.internal"), ["10.0.1.10"]);
    assert_eq!(a(&n, "ip-10-0-1-10.eu-west-1.compute.internal"), ["10.0.1.10"]);
    assert_eq!(kind("ip-10-0-1-99.ec2.internal", RecordType::A), Answer::NoName(vec![]));
    assert_eq!(kind("ip-10-0-1-10.ec2.internal", RecordType::Aaaa), Answer::NoData(vec![]));
    assert_eq!(a(&n, "ec2-203-0-113-9.compute-1.amazonaws.com"), ["10.0.1.10"]);
    let far = resolve(
        &n,
        &"vpc-b".parse().unwrap(),
        "ec2-203-0-113-9.compute-1.amazonaws.com",
        RecordType::A,
    );
    assert_eq!(far.addresses(), ["203.0.113.9".parse::<IpAddr>().unwrap()]);
}

#[test]
fn private_names_of_instances_need_both_attributes_and_reach_into_peered_vpcs() {
    let more = "subnet subnet-p vpc-b us-east-1a 10.1.1.0/24\neni eni-p subnet-p 10.1.1.10 -\n";
    let with = |status: &str, hostnames: bool| {
        let text = format!("{NETWORK}{more}peering pcx-a vpc-a vpc-b {status}\n");
        let mut d = sample::read(&text).unwrap();
        let vpc = Arc::make_mut(d.vpcs.get_mut(&"vpc-a".parse().unwrap()).unwrap());
        vpc.dns_hostnames = hostnames;
        Network::new(d).unwrap()
    };
    assert_eq!(a(&with("active", true), "ip-10-0-1-10.ec2.internal"), ["10.0.1.10"]);
    assert_eq!(a(&with("active", true), "ip-10-1-1-10.ec2.internal"), ["10.1.1.10"]);
    assert!(a(&with("pending", true), "ip-10-1-1-10.ec2.internal").is_empty());
    // Of blocks that are not private only if the connection resolves names.
    let text = "vpc vpc-q 198.18.0.0/16\nsubnet subnet-q vpc-q us-east-1a 198.18.1.0/24\n\
        eni eni-q subnet-q 198.18.1.10 -\npeering pcx-q vpc-a vpc-q active\n";
    let mut d = sample::read(&format!("{NETWORK}{text}")).unwrap();
    let name = "ip-198-18-1-10.ec2.internal";
    assert!(a(&Network::new(d.clone()).unwrap(), name).is_empty());
    let peering = d.peerings.get_mut(&"pcx-q".parse().unwrap()).unwrap();
    Arc::make_mut(peering).dns_resolution = true;
    assert_eq!(a(&Network::new(d).unwrap(), name), ["198.18.1.10"]);
    let answer = resolve(
        &with("active", false),
        &"vpc-a".parse().unwrap(),
        "ip-10-0-1-10.ec2.internal",
        RecordType::A,
    );
    assert_eq!(answer, Answer::NoName(vec![]));
}

#[test]
fn an_endpoints_private_dns_is_of_the_regional_names() {
    let text = NETWORK.replace("s3 eni-l\n", "s3 eni-l private\n");
    let n = Network::new(sample::read(&text).unwrap()).unwrap();
    assert_eq!(a(&n, "s3.us-east-1.amazonaws.com"), ["10.0.1.20"]);
    assert_eq!(a(&n, "b.s3.us-east-1.amazonaws.com"), ["10.0.1.20"]);
    for public in
        ["s3.amazonaws.com", "b.s3.amazonaws.com", "b.s3.dualstack.us-east-1.amazonaws.com"]
    {
        assert_eq!(a(&n, public), ["52.216.0.1"], "{public}");
    }
}

#[test]
fn zones_answer_for_all_that_is_below_them() {
    let n = network();
    assert_eq!(a(&n, "DB.corp.example.com"), ["10.0.1.50"]);
    assert_eq!(a(&n, "www.corp.example.com"), ["10.0.1.50"]);
    assert_eq!(a(&n, "any.thing.wild.corp.example.com"), ["10.0.1.60"]);
    assert_eq!(a(&n, "x.in.corp.example.com"), ["10.0.1.70"]);
    // The longest zone alone is asked.
    assert_eq!(kind("db.in.corp.example.com", RecordType::A), Answer::NoName(vec![]));
    assert_eq!(kind("own.wild.corp.example.com", RecordType::A), Answer::NoData(vec![]));
    assert_eq!(kind("wild.corp.example.com", RecordType::A), Answer::NoData(vec![]));
    assert_eq!(kind("none.corp.example.com", RecordType::A), Answer::NoName(vec![]));
    assert_eq!(
        kind("notcorp.example.com", RecordType::A),
        Answer::Forward("notcorp.example.com.".to_owned(), vec![])
    );
    assert_eq!(kind("a.circle.corp.example.com", RecordType::A), Answer::Circle);
    let Answer::Forward(name, chain) = kind("out.corp.example.com", RecordType::A) else {
        panic!()
    };
    assert_eq!((name.as_str(), chain.len()), ("example.com.", 1));
    let other = resolve(&n, &"vpc-b".parse().unwrap(), "db.corp.example.com", RecordType::A);
    assert!(matches!(other, Answer::Forward(..)));
}

#[test]
fn a_zone_of_a_services_own_name_wins_and_a_wider_one_does_not() {
    let mut d = description();
    let wide = zone("amazonaws.com.", &[("x.amazonaws.com.", RecordType::A, "10.0.1.80")]);
    d.zones.insert("ZWIDE".parse().unwrap(), Arc::new(wide));
    let n = Network::new(d.clone()).unwrap();
    assert_eq!(a(&n, "logs.us-east-1.amazonaws.com"), ["10.0.1.20", "10.0.2.20"]);
    assert_eq!(a(&n, "x.amazonaws.com"), ["10.0.1.80"]);
    assert!(a(&n, "s3.us-east-1.amazonaws.com").is_empty());
    let name = "logs.us-east-1.amazonaws.com.";
    let own = zone(name, &[(name, RecordType::A, "10.0.1.90")]);
    d.zones.insert("ZOWN".parse().unwrap(), Arc::new(own));
    assert_eq!(a(&Network::new(d).unwrap(), name), ["10.0.1.90"]);
}

#[test]
fn dhcp_options_say_who_is_asked() {
    let vpc = "vpc-a".parse().unwrap();
    assert_eq!(servers(&network(), &vpc), Servers::Provided("10.0.0.2".parse().unwrap()));
    for (value, expected) in [
        (Some(PROVIDED), Servers::Provided("10.0.0.2".parse().unwrap())),
        (Some("10.0.1.5"), Servers::Others(vec!["10.0.1.5".parse().unwrap()])),
        (None, Servers::None),
    ] {
        let mut d = description();
        let named = value.map(|v| ("domain-name-servers".to_owned(), vec![v.to_owned()]));
        let options = DhcpOptions { options: named.into_iter().collect() };
        d.dhcp_options.insert("dopt-a".parse().unwrap(), Arc::new(options));
        Arc::make_mut(d.vpcs.get_mut(&vpc).unwrap()).dhcp_options = Some("dopt-a".parse().unwrap());
        assert_eq!(servers(&Network::new(d).unwrap(), &vpc), expected);
    }
}

#[test]
fn what_is_inside_is_asked_of_nobody_outside() {
    let mut d = description();
    let more = "vpc vpc-q 198.51.100.0/24 2600:9::/56\nvpc vpc-r 203.0.113.0/24\n\
        peering pcx-q vpc-q vpc-a active\n";
    let more = sample::read(&format!("{NETWORK}{more}")).unwrap();
    (d.vpcs, d.peerings) = (more.vpcs, more.peerings);
    let n = Network::new(d.clone()).unwrap();
    let ask = |n: &Network, name: &str| resolve(n, &"vpc-a".parse().unwrap(), name, RecordType::A);
    for name in [
        "10.1.0.10.in-addr.arpa.",
        "5.64.16.172.in-addr.arpa",
        "7.100.51.198.in-addr.arpa",
        "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.9.0.0.0.0.0.6.2.ip6.arpa",
        "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.d.f.ip6.arpa",
        "host.ec2.internal",
        "host.eu-west-1.compute.internal",
    ] {
        assert_eq!(ask(&n, name), Answer::NoName(vec![]), "{name}");
    }
    for name in [
        "8.8.8.8.in-addr.arpa",
        "9.113.0.203.in-addr.arpa",
        "x.in-addr.arpa",
        "1.ip6.arpa",
        "compute.internal",
    ] {
        assert!(matches!(ask(&n, name), Answer::Forward(..)), "{name}");
    }
    // A customer's zone of them answers.
    let own = "10.in-addr.arpa.";
    let zone = zone(own, &[("10.1.0.10.in-addr.arpa.", RecordType::Cname, "db.corp.example.com.")]);
    d.zones.insert("ZREV".parse().unwrap(), Arc::new(zone));
    assert_eq!(a(&Network::new(d).unwrap(), "10.1.0.10.in-addr.arpa"), ["10.0.1.50"]);
}
