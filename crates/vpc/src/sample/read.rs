//! A network written as text, one record a line, with its rules indented below it.

use crate::id::{InterfaceId, VpcId};
use crate::network::{
    AclEntry, Change, Description, ElasticAddress, Endpoint, EndpointKind, GroupRule, Interface,
    InternetGateway, NatGateway, NetworkAcl, Peering, PeeringStatus, PrefixList, PrivateAddress,
    Record, Route, RouteTable, SecurityGroup, Subnet, Vpc, VpcCidr,
};
use crate::text::TextError;
use ipnet::IpNet;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::str::FromStr;

/// Reads a network.
///
/// ```text
/// vpc vpc-a 10.0.0.0/16 2600:1::/56 [nodns]
/// subnet subnet-a vpc-a us-east-1a 10.0.1.0/24 2600:1::/64
/// group sg-a vpc-a
///   egress tcp 443 0.0.0.0/0
/// acl acl-a vpc-a subnet-a
///   ingress 100 allow all 0.0.0.0/0
/// table rtb-a vpc-a subnet-a
///   0.0.0.0/0 igw-a
/// eni eni-a subnet-a 10.0.1.10=203.0.113.9,2600:1::9 sg-a,sg-b [forwards] [managed]
/// igw igw-a vpc-a
/// eip eipalloc-a 203.0.113.1 [eni-a 10.0.1.10]
/// nat nat-a subnet-a eni-n [eipalloc-a]
/// list pl-a com.amazonaws.us-east-1.s3 AWS 52.216.0.0/15
/// gateway vpce-a vpc-a com.amazonaws.us-east-1.s3 [rtb-a]
/// interface vpce-b vpc-a com.amazonaws.us-east-1.logs eni-l [private]
/// peering pcx-a vpc-a vpc-b active
/// ```
///
/// A VPC without an ACL or a table for some subnet gets a default ACL, which lets all pass, and a
/// main table, which has local routes only.
///
/// # Errors
/// The first line that cannot be read.
pub fn read(text: &str) -> Result<Description, TextError> {
    let mut d = Description::default();
    let mut lines = text.lines().filter(|l| !l.trim().is_empty()).peekable();
    while let Some(line) = lines.next() {
        let mut rules = Vec::new();
        while let Some(rule) = lines.next_if(|l| l.trim_start().len() + 2 <= l.len()) {
            rules.push(rule.trim());
        }
        record(&mut d, line.trim(), &rules)?;
    }
    complete(&mut d)?;
    Ok(d)
}

/// The words of a line, one after the other.
struct Words<'a> {
    line: &'a str,
    rest: std::iter::Peekable<std::str::SplitAsciiWhitespace<'a>>,
}

impl<'a> Words<'a> {
    fn wrong(&self) -> TextError {
        TextError { value: self.line.to_owned(), what: "a line of a network" }
    }

    fn word(&mut self) -> Result<&'a str, TextError> {
        self.rest.next().ok_or_else(|| self.wrong())
    }

    fn next<T: FromStr>(&mut self) -> Result<T, TextError> {
        self.word()?.parse().map_err(|_| self.wrong())
    }

    fn maybe<T: FromStr>(&mut self) -> Result<Option<T>, TextError> {
        if self.rest.peek().is_none() { Ok(None) } else { self.next().map(Some) }
    }

    fn list<T: FromStr>(&mut self) -> Result<Vec<T>, TextError> {
        let word = self.word()?;
        if word == "-" {
            return Ok(vec![]);
        }
        word.split(',').map(|w| w.parse().map_err(|_| self.wrong())).collect()
    }

    fn all<T: FromStr>(&mut self) -> Result<Vec<T>, TextError> {
        let mut all = Vec::new();
        while self.rest.peek().is_some() {
            all.push(self.next()?);
        }
        Ok(all)
    }

    /// Whether the next word is this one.
    fn flag(&mut self, word: &str) -> bool {
        self.rest.next_if(|w| *w == word).is_some()
    }
}

/// An id made of another one.
fn derived<T: FromStr>(prefix: &str, of: &str) -> Result<T, TextError> {
    let value = format!("{prefix}{of}");
    value.parse().map_err(|_| TextError { value: value.clone(), what: "a derived id" })
}

fn record(d: &mut Description, line: &str, rules: &[&str]) -> Result<(), TextError> {
    let mut words = Words { line, rest: line.split_ascii_whitespace().peekable() };
    let kind = words.word()?;
    let record = match kind {
        "vpc" => vpc(&mut words)?,
        "subnet" => subnet(&mut words)?,
        "group" => group(&mut words, rules)?,
        "acl" => acl(&mut words, rules)?,
        "table" => table(&mut words, rules)?,
        "eni" => interface(&mut words)?,
        "igw" => Record::InternetGateway(words.next()?, InternetGateway { vpc: words.maybe()? }),
        "eip" => address(&mut words)?,
        "nat" => {
            let (id, subnet, interface) = (words.next()?, words.next()?, words.next()?);
            let allocation = words.maybe()?;
            Record::NatGateway(id, NatGateway { subnet, interface, allocation, available: true })
        }
        "list" => list(&mut words)?,
        "gateway" => {
            let (id, vpc, service) = (words.next()?, words.next()?, words.next()?);
            let route_tables = words.all()?.into_iter().collect();
            let kind = EndpointKind::Gateway { route_tables };
            Record::Endpoint(id, Endpoint { vpc, service, kind, policy: None })
        }
        "interface" => endpoint(d, &mut words)?,
        "peering" => {
            let (id, requester, accepter) = (words.next()?, words.next()?, words.next()?);
            let status = match words.word()? {
                "active" => PeeringStatus::Active,
                "pending" => PeeringStatus::PendingAcceptance,
                _ => return Err(words.wrong()),
            };
            Record::Peering(id, Peering { requester, accepter, status, dns_resolution: false })
        }
        _ => return Err(words.wrong()),
    };
    if words.rest.peek().is_some() {
        return Err(words.wrong());
    }
    d.apply(Change::Put(record));
    Ok(())
}

fn vpc(words: &mut Words<'_>) -> Result<Record, TextError> {
    let id: VpcId = words.next()?;
    let mut cidrs = Vec::new();
    let mut dns = true;
    while words.rest.peek().is_some() {
        if words.flag("nodns") {
            dns = false;
            continue;
        }
        let association =
            derived("vpc-cidr-assoc-", &format!("{}{}", &id.as_str()[4..], cidrs.len()))?;
        cidrs.push(VpcCidr { association, block: words.next()? });
    }
    let record =
        Vpc { cidrs, dns_support: dns, dns_hostnames: dns, dhcp_options: None, is_default: false };
    Ok(Record::Vpc(id, record))
}

fn subnet(words: &mut Words<'_>) -> Result<Record, TextError> {
    let id = words.next()?;
    let vpc = words.next()?;
    let zone = words.next()?;
    let (block, block_v6) = (words.next()?, words.maybe()?);
    let record = Subnet {
        vpc,
        zone,
        block,
        block_v6,
        association_v6: None,
        map_public_ip: false,
        assign_v6: false,
        default_for_zone: false,
    };
    Ok(Record::Subnet(id, record))
}

fn group(words: &mut Words<'_>, lines: &[&str]) -> Result<Record, TextError> {
    let id: crate::id::GroupId = words.next()?;
    let vpc = words.next()?;
    let mut rules = BTreeMap::new();
    for (place, line) in lines.iter().enumerate() {
        let rule: GroupRule = line.parse()?;
        rules.insert(derived("sgr-", &format!("{}{place:04}", &id.as_str()[3..]))?, rule);
    }
    let name = id.to_string();
    let record = SecurityGroup { vpc, name, description: String::new(), rules };
    Ok(Record::Group(id, record))
}

fn acl(words: &mut Words<'_>, lines: &[&str]) -> Result<Record, TextError> {
    let id: crate::id::AclId = words.next()?;
    let vpc = words.next()?;
    let mut record = empty_acl(vpc, false);
    for subnet in words.all::<crate::id::SubnetId>()? {
        let association = derived("aclassoc-", &subnet.as_str()[7..])?;
        record.associations.insert(subnet, association);
    }
    for line in lines {
        let mut words = Words { line, rest: line.split_ascii_whitespace().peekable() };
        let way = words.word()?;
        let number = words.next()?;
        let rest: Vec<&str> = words.rest.by_ref().collect();
        let entry: AclEntry = rest.join(" ").parse()?;
        match way {
            "ingress" => record.ingress.insert(number, entry),
            "egress" => record.egress.insert(number, entry),
            _ => return Err(words.wrong()),
        };
    }
    Ok(Record::Acl(id, record))
}

fn empty_acl(vpc: VpcId, is_default: bool) -> NetworkAcl {
    let (ingress, egress) = (BTreeMap::new(), BTreeMap::new());
    NetworkAcl { vpc, is_default, ingress, egress, associations: BTreeMap::new() }
}

fn table(words: &mut Words<'_>, lines: &[&str]) -> Result<Record, TextError> {
    let id: crate::id::RouteTableId = words.next()?;
    let vpc = words.next()?;
    let mut associations = BTreeMap::new();
    for subnet in words.all::<crate::id::SubnetId>()? {
        let association = derived("rtbassoc-", &subnet.as_str()[7..])?;
        associations.insert(subnet, association);
    }
    let routes = lines.iter().map(|l| l.parse::<Route>()).collect::<Result<_, _>>()?;
    Ok(Record::RouteTable(id, RouteTable { vpc, main: None, associations, routes }))
}

fn interface(words: &mut Words<'_>) -> Result<Record, TextError> {
    let id: InterfaceId = words.next()?;
    let subnet = words.next()?;
    let mut addresses = Vec::new();
    let mut addresses_v6 = Vec::new();
    for text in words.list::<String>()? {
        let (private, public) = text.split_once('=').unwrap_or((&text, ""));
        match private.parse().map_err(|_| words.wrong())? {
            IpAddr::V4(address) => {
                let public = (!public.is_empty()).then(|| public.parse()).transpose();
                let public = public.map_err(|_| words.wrong())?;
                addresses.push(PrivateAddress { address, public });
            }
            IpAddr::V6(address) => addresses_v6.push(address),
        }
    }
    let groups = words.list()?;
    let source_dest_check = !words.flag("forwards");
    let requester_managed = words.flag("managed");
    let record = Interface {
        subnet,
        addresses,
        addresses_v6,
        groups,
        source_dest_check,
        mac: "02:00:00:00:00:01".to_owned(),
        description: String::new(),
        kind: "interface".to_owned(),
        requester_managed,
        attachment: None,
    };
    Ok(Record::Interface(id, record))
}

fn address(words: &mut Words<'_>) -> Result<Record, TextError> {
    let id: crate::id::AllocationId = words.next()?;
    let public = words.next()?;
    let association = match words.maybe()? {
        None => None,
        Some(interface) => {
            let association = derived("eipassoc-", &id.as_str()[9..])?;
            Some((association, interface, words.next()?))
        }
    };
    Ok(Record::Address(id, ElasticAddress { public, association }))
}

fn list(words: &mut Words<'_>) -> Result<Record, TextError> {
    let id = words.next()?;
    let (name, owner) = (words.next()?, words.next()?);
    let nets: Vec<IpNet> = words.all()?;
    let v6 = nets.first().is_some_and(|n| matches!(n, IpNet::V6(_)));
    let entries = nets.into_iter().map(|n| (n, None)).collect();
    let record = PrefixList { name, owner, v6, max_entries: 100, version: 1, entries };
    Ok(Record::PrefixList(id, record))
}

/// The endpoint is in the subnets of its interfaces, which stand before it.
fn endpoint(d: &Description, words: &mut Words<'_>) -> Result<Record, TextError> {
    let (id, vpc, service) = (words.next()?, words.next()?, words.next()?);
    let mut interfaces = BTreeMap::new();
    let mut groups = BTreeSet::new();
    for interface in words.list::<InterfaceId>()? {
        let record = d.interfaces.get(&interface).ok_or_else(|| words.wrong())?;
        groups.extend(record.groups.iter().cloned());
        interfaces.insert(record.subnet.clone(), interface);
    }
    let private_dns = words.flag("private");
    let groups = groups.into_iter().collect();
    let kind = EndpointKind::Interface { interfaces, groups, private_dns };
    Ok(Record::Endpoint(id, Endpoint { vpc, service, kind, policy: None }))
}

/// Default ACLs and main tables.
fn complete(d: &mut Description) -> Result<(), TextError> {
    let guarded: BTreeSet<_> =
        d.acls.values().flat_map(|a| a.associations.keys().cloned()).collect();
    for vpc in d.vpcs.keys().cloned().collect::<Vec<_>>() {
        let mut acl = empty_acl(vpc.clone(), true);
        for (number, net) in [(100, "0.0.0.0/0"), (101, "::/0")] {
            let entry: AclEntry = format!("allow all {net}").parse()?;
            acl.ingress.insert(number, entry.clone());
            acl.egress.insert(number, entry);
        }
        let own = d.subnets.iter().filter(|(id, s)| s.vpc == vpc && !guarded.contains(id));
        for (subnet, _) in own {
            acl.associations.insert(subnet.clone(), derived("aclassoc-", &subnet.as_str()[7..])?);
        }
        let tail = &vpc.as_str()[4..];
        let main = Some(derived("rtbassoc-main", tail)?);
        let (associations, routes) = (BTreeMap::new(), Vec::new());
        let table = RouteTable { vpc: vpc.clone(), main, associations, routes };
        d.apply(Change::Put(Record::Acl(derived("acl-default", tail)?, acl)));
        d.apply(Change::Put(Record::RouteTable(derived("rtb-main", tail)?, table)));
    }
    Ok(())
}
