//! The tree of a VPC, for a person.

use super::names::Names;
use super::tree::{
    EndpointTree, InterfaceTree, NatTree, PeeringTree, RouteTree, SubnetTree, TableTree, VpcTree,
};
use belljar_vpc::network::PeeringStatus;
use owo_colors::OwoColorize;

/// A line and those below it.
#[derive(Debug, Default)]
struct Branch {
    text: String,
    below: Vec<Branch>,
}

impl Branch {
    fn leaf(text: impl Into<String>) -> Self {
        Self { text: text.into(), below: Vec::new() }
    }

    fn with(mut self, below: impl IntoIterator<Item = Self>) -> Self {
        self.below.extend(below);
        self
    }

    fn write(&self, out: &mut String, indent: &str) {
        out.push_str(&self.text);
        out.push('\n');
        for (place, branch) in self.below.iter().enumerate() {
            let last = place + 1 == self.below.len();
            let (mark, more) = if last { ("└─ ", "   ") } else { ("├─ ", "│  ") };
            out.push_str(&format!("{indent}{mark}").dimmed().to_string());
            branch.write(out, &format!("{indent}{more}"));
        }
    }
}

/// Several VPCs, one below the other.
pub(super) fn text(names: &Names<'_>, all: &[VpcTree]) -> String {
    let mut out = String::new();
    for (place, tree) in all.iter().enumerate() {
        if place > 0 {
            out.push('\n');
        }
        vpc(names, tree).write(&mut out, "");
    }
    out
}

fn vpc(names: &Names<'_>, tree: &VpcTree) -> Branch {
    let default = if tree.is_default { "  default VPC" } else { "" };
    let head = format!(
        "{} {}  {}{default}",
        "VPC".bold(),
        names.label(tree.id.as_str()).bold(),
        tree.blocks.join(", ")
    );
    let zones = tree.zones.iter().map(|zone| {
        let subnets = zone.subnets.iter().map(|s| subnet(names, s));
        Branch::leaf(format!("zone {}", zone.name)).with(subnets)
    });
    let gateways = tree.internet_gateways.iter();
    let gateways =
        gateways.map(|id| Branch::leaf(format!("internet gateway {}", names.label(id.as_str()))));
    Branch::leaf(head)
        .with([Branch::leaf(dns(tree))])
        .with(zones)
        .with(gateways)
        .with(tree.nat_gateways.iter().map(|n| nat(names, n)))
        .with(tree.endpoints.iter().map(|e| endpoint(names, e)))
        .with(tree.peerings.iter().map(|p| peering(names, p)))
}

fn dns(tree: &VpcTree) -> String {
    let resolver = tree.resolver.map(|r| r.to_string()).unwrap_or_default();
    match (tree.dns_support, tree.dns_hostnames) {
        (false, _) => "DNS off (enableDnsSupport)".to_owned(),
        (true, true) => format!("DNS at {resolver}, with private zones and private DNS"),
        (true, false) => {
            format!("DNS at {resolver}, without private zones and private DNS (enableDnsHostnames)")
        }
    }
}

fn subnet(names: &Names<'_>, tree: &SubnetTree) -> Branch {
    let kind = match tree.public {
        true => "public".yellow().to_string(),
        false => "private".green().to_string(),
    };
    let v6 = tree.block_v6.as_ref().map_or_else(String::new, |b| format!(", {b}"));
    let head = format!(
        "{}  {}{v6}  {kind}  {} free",
        names.label(tree.id.as_str()).bold(),
        tree.block,
        tree.free_addresses
    );
    let acl = tree.acl.as_ref().map(|id| {
        let default = names.network.acls.get(id).is_some_and(|a| a.is_default);
        let which = if default { ", the default one" } else { "" };
        Branch::leaf(format!("ACL {}{which}", names.label(id.as_str())))
    });
    Branch::leaf(head)
        .with(acl)
        .with(tree.route_table.as_ref().map(|t| table(names, t)))
        .with(tree.interfaces.iter().map(|i| interface(names, i)))
}

fn table(names: &Names<'_>, tree: &TableTree) -> Branch {
    let which = if tree.main { ", the main one" } else { "" };
    let head = format!("routes {}{which}", names.label(tree.id.as_str()));
    Branch::leaf(head).with(tree.routes.iter().map(|r| Branch::leaf(route(names, r))))
}

fn route(names: &Names<'_>, tree: &RouteTree) -> String {
    let target =
        if tree.target == "local" { "local".to_owned() } else { names.label(&tree.target) };
    let end = match (tree.blackhole, tree.propagated) {
        (true, _) => format!("  {}", "blackhole".red()),
        (false, true) => "  propagated".to_owned(),
        (false, false) => String::new(),
    };
    format!("{} → {target}{end}", tree.said)
}

fn interface(names: &Names<'_>, tree: &InterfaceTree) -> Branch {
    let list = |all: &[std::net::IpAddr]| {
        let all: Vec<String> = all.iter().map(ToString::to_string).collect();
        all.join(", ")
    };
    let public = match tree.public.as_slice() {
        [] => String::new(),
        all => format!(" ({})", list(all)),
    };
    Branch::leaf(format!(
        "{}  {}{public}  {}  {}",
        names.label(tree.id.as_str()),
        list(&tree.addresses),
        names.groups(&tree.groups),
        tree.whose
    ))
}

fn nat(names: &Names<'_>, tree: &NatTree) -> Branch {
    let public = match tree.public {
        Some(address) => format!("as {address}"),
        None => "private".to_owned(),
    };
    let gone = if tree.available { "" } else { "  deleted" };
    Branch::leaf(format!(
        "NAT gateway {}  in {}  {public}{gone}",
        names.label(tree.id.as_str()),
        names.label(tree.subnet.as_str())
    ))
}

fn endpoint(names: &Names<'_>, tree: &EndpointTree) -> Branch {
    let policy = if tree.policy { "  with a policy" } else { "" };
    let way = match tree.private_dns {
        None if tree.route_tables.is_empty() => "gateway in no route table".to_owned(),
        None => {
            let tables: Vec<_> =
                tree.route_tables.iter().map(|t| names.label(t.as_str())).collect();
            format!("gateway in {}", tables.join(", "))
        }
        Some(private_dns) => {
            let address = |id| names.network.interfaces.get(id).and_then(|i| i.primary());
            let at: Vec<_> =
                tree.interfaces.iter().filter_map(address).map(|a| a.to_string()).collect();
            let dns = if private_dns { "private DNS" } else { "no private DNS" };
            format!("interface at {}, {dns}", at.join(", "))
        }
    };
    Branch::leaf(format!("endpoint {}  {way}{policy}", names.label(tree.id.as_str())))
}

fn peering(names: &Names<'_>, tree: &PeeringTree) -> Branch {
    let status = match tree.status {
        PeeringStatus::Active => "active",
        PeeringStatus::PendingAcceptance => "not yet accepted",
        PeeringStatus::Rejected => "rejected",
        PeeringStatus::Deleted => "deleted",
    };
    Branch::leaf(format!(
        "peering {}  with {}  {status}",
        names.label(tree.id.as_str()),
        names.label(tree.other.as_str())
    ))
}
