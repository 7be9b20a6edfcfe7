//! The network of a container: sealed, or what it may have instead.

use super::peers;
use crate::attempts::{self, Watch};
use crate::credentials::{self, About, Served};
use crate::dns::Names;
use crate::fabric::client;
use crate::outlet::{self, Outlet};
use crate::run::{Context, Ending};
use crate::stages::Facts;
use crate::wireguard::{self, Link};
use crate::words;
use belljar_domain::fabric::{Answer, Ask, FOLDER, SERVICE_SOCKET};
use belljar_domain::{Access, Assignment, VpcLink};
use belljar_linux::netns::NetNs;
use belljar_linux::seal_net::{self, SealedNet};
use belljar_vpc::open;
use std::os::fd::AsFd;
use tokio::net::UnixStream;

/// Where the container's own resolver is, which refuses at once. (C libraries would try an answer
/// that does not come for longer.)
const OWN_RESOLVER: &str = "nameserver 127.0.0.1\noptions timeout:1 attempts:1\n";

/// A network, with its witness.
pub(super) struct Network {
    pub(super) ns: NetNs,
    pub(super) sealed: SealedNet,
    pub(super) watch: Watch,
    pub(super) held: Held,
}

/// What must hold for as long as the container runs.
#[derive(Default)]
pub(super) struct Held {
    /// The link to its peers, where the warden itself carries it.
    link: Option<Link>,
    /// Its interface in a VPC.
    interface: Option<Interface>,
    /// Its way out.
    _outlet: Option<Outlet>,
    /// Its role's credentials.
    credentials: Option<Served>,
}

/// What of it was lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lost {
    Link,
    Interface,
}

impl Lost {
    /// Why the container ended. Without its interface the job is begun again, if it may be.
    pub(super) fn ending(self) -> Ending {
        match self {
            Self::Link => wireguard::Error::Ended.into(),
            Self::Interface => Ending::Lost(INTERFACE_LOST.to_owned()),
        }
    }
}

/// An interface that a container has: until this is dropped, or whoever gave it is gone.
struct Interface(UnixStream);

/// What is told of a container that lost its interface.
const INTERFACE_LOST: &str = "the container lost its network interface: the process that holds the VPC ended, or the interface was removed";

impl Held {
    /// What the container's environment must say of it.
    pub(super) fn environment(&self) -> Vec<(String, String)> {
        self.credentials.as_ref().map(Served::environment).unwrap_or_default()
    }

    /// Until something of it is lost.
    pub(super) async fn lost(&mut self) -> Lost {
        tokio::select! {
            () = link_lost(&mut self.link) => Lost::Link,
            () = interface_lost(&self.interface) => Lost::Interface,
        }
    }
}

async fn link_lost(link: &mut Option<Link>) {
    match link {
        Some(link) => link.ended().await,
        None => std::future::pending().await,
    }
}

async fn interface_lost(interface: &Option<Interface>) {
    match interface {
        // Nothing is said: the connection ends with what it stands for.
        Some(Interface(held)) => drop(words::hear(held, 1).await),
        None => std::future::pending().await,
    }
}

pub(super) async fn network(cx: &Context, facts: &mut Facts) -> Result<Network, Ending> {
    let ns = NetNs::create()?;
    cx.journal.point(belljar_domain::Stage::Network, "during");
    facts.access = cx.assignment.access();
    match facts.access.clone() {
        Some(Access::Vpc(link)) => in_vpc(cx, facts, ns, &link).await,
        Some(Access::Internet) => to_internet(cx, facts, ns).await,
        None => sealed(cx, facts, ns).await,
    }
}

async fn sealed(cx: &Context, facts: &mut Facts, ns: NetNs) -> Result<Network, Ending> {
    let sealed = seal_net::seal(&ns, &peers::rules(&cx.assignment)).await?;
    let link = peers::join(cx, facts, &ns, &sealed).await?;
    let names = Names::of(peers::addresses(&cx.assignment));
    let watch = attempts::watch(&ns, Some(names), cx.journal.sender()).await?;
    Ok(Network { ns, sealed, watch, held: Held { link, ..Held::default() } })
}

async fn to_internet(cx: &Context, facts: &mut Facts, ns: NetNs) -> Result<Network, Ending> {
    let rules = open::with_own(peers::rules(&cx.assignment));
    let names = Names::of(peers::addresses(&cx.assignment));
    let service = cx.job.state().join(SERVICE_SOCKET);
    let (sealed, outlet, names) = outlet::open(&ns, rules, names, Some(&service)).await?;
    sealed.own(&open::OWN).await?;
    let link = peers::join(cx, facts, &ns, &sealed).await?;
    let watch = attempts::watch(&ns, Some(names), cx.journal.sender()).await?;
    let credentials = credentials(cx, &ns, None)?;
    let held = Held { link, _outlet: Some(outlet), credentials, interface: None };
    Ok(Network { ns, sealed, watch, held })
}

async fn in_vpc(
    cx: &Context,
    facts: &mut Facts,
    ns: NetNs,
    link: &VpcLink,
) -> Result<Network, Ending> {
    let sealed = seal_net::open(&ns, &open::output_rules()).await?;
    sealed.own(&open::OWN).await?;
    // The VPC's resolver answers names, and what its router refuses is told by flow logs.
    let watch = attempts::watch(&ns, None, cx.journal.sender()).await?;
    let ask = Ask::Attach { interface: link.interface.clone() };
    let folder = cx.job.state().join(FOLDER);
    let held = match client::ask(&folder, &ask, Some(ns.as_fd())).await {
        Ok((Answer::Attached, _, held)) => held,
        Ok((answer, ..)) => return Err(not_given(&format!("the fabric answered {answer:?}"))),
        Err(e) => return Err(not_given(&e.to_string())),
    };
    let tunnel = peers::encrypt_in_vpc(cx, facts, (&ns, &sealed), link.address).await?;
    let credentials = credentials(cx, &ns, Some(link))?;
    let interface = Some(Interface(held));
    let held = Held { link: tunnel, interface, credentials, _outlet: None };
    Ok(Network { ns, sealed, watch, held })
}

/// The interface cannot be had now. Whoever holds the VPC may just have been started anew.
fn not_given(why: &str) -> Ending {
    Ending::Lost(format!("the container could not be given its network interface: {why}"))
}

/// Serves the credentials of its role, if it has one, at addresses that its `lo` has.
fn credentials(cx: &Context, ns: &NetNs, link: Option<&VpcLink>) -> Result<Option<Served>, Ending> {
    let a = &cx.assignment;
    let Some(role_arn) = a.role.clone() else { return Ok(None) };
    let about = About {
        role_arn,
        region: a.region.clone(),
        zone: link.and_then(|link| link.zone.clone()),
        instance_type: Some(a.instance_type.clone()),
        address: link.map(|link| link.address),
        mac: link.map(|link| link.mac.clone()),
    };
    Ok(Some(credentials::serve(ns, &about)?))
}

/// `/etc/resolv.conf` of a container.
pub(super) fn resolv_conf(assignment: &Assignment) -> String {
    match &assignment.vpc {
        Some(link) if link.inside => link.resolv_conf(),
        _ => OWN_RESOLVER.to_owned(),
    }
}
