//! The instances of a training job that has several, and what of the job each of them gets.
//! Source: botocore `sagemaker/2017-07-24/service-2.json`, shapes `ResourceConfig`,
//! `InstanceGroup`, `S3DataSource`.

use crate::{Assignment, HostName, NodeName, Resources, VpcLink};
use belljar_vpc::peers::INTERFACE;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::num::NonZeroU32;

/// Instances of a job, at most.
pub use belljar_vpc::peers::MAX_INSTANCES;

/// The encrypted link between instances that have an interface of a VPC besides.
const ENCRYPTED_IN_VPC: &str = "eth1";

/// The group that every instance is in when no groups were asked for.
pub const ONE_GROUP: &str = "homogeneousCluster";

/// The instances of a job, two at least.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Cluster {
    /// In the order of their numbers.
    pub instances: Vec<Instance>,
    /// `EnableInterContainerTrafficEncryption`: what they say to each other is never in clear.
    pub encrypted: bool,
}

/// One instance.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Instance {
    /// `algo-<number>`.
    pub host: HostName,
    /// `InstanceGroupName`, or [`ONE_GROUP`].
    pub group: String,
    /// `InstanceType`.
    pub instance_type: String,
    /// Limits on its container.
    pub resources: Resources,
    /// Its address on the link to its peers.
    pub address: Ipv4Addr,
    /// Where it runs, in a job that is spread over several machines; `None` if all of them run
    /// where the job's warden does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub site: Option<Site>,
    /// Its interface in a VPC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vpc: Option<Box<VpcLink>>,
}

/// A machine that runs instances.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Site {
    /// The node; `None` for the machine of the service and the job's warden.
    pub node: Option<NodeName>,
    /// Where the other machines reach it.
    pub address: IpAddr,
}

impl Instance {
    /// The `number`-th instance of a job, from 1.
    #[must_use]
    pub fn new(number: u8, group: &str, instance_type: &str, resources: Resources) -> Self {
        Self {
            host: HostName::algo(NonZeroU32::new(number.into()).unwrap_or(NonZeroU32::MIN)),
            group: group.to_owned(),
            instance_type: instance_type.to_owned(),
            resources,
            address: belljar_vpc::peers::address(number),
            site: None,
            vpc: None,
        }
    }

    /// The node that runs it; `None` if the machine of the job's warden does.
    #[must_use]
    pub fn node(&self) -> Option<&NodeName> {
        self.site.as_ref()?.node.as_ref()
    }
}

/// Which part of a channel's objects an instance gets: of every `count`, the one at `index`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Shard {
    /// From 0.
    pub index: usize,
    /// Parts in all; at least 1.
    pub count: usize,
}

impl Shard {
    /// Whether the object at this place of the channel's order is in it.
    #[must_use]
    pub fn has(self, position: usize) -> bool {
        position % self.count.max(1) == self.index
    }

    /// What of `items` is in it, in their order.
    #[must_use]
    pub fn of<T>(shard: Option<Self>, items: Vec<T>) -> Vec<T> {
        let Some(shard) = shard else { return items };
        let numbered = items.into_iter().enumerate();
        numbered.filter(|(position, _)| shard.has(*position)).map(|(_, item)| item).collect()
    }
}

/// How a link between instances is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Driver {
    /// A pair of virtual interfaces into a namespace that has only such ends: one host, in clear.
    Veth,
    /// The kernel's own WireGuard.
    WireguardKernel,
    /// WireGuard in the warden.
    WireguardUser,
}

impl Driver {
    /// Whether what goes through it is encrypted.
    #[must_use]
    pub fn encrypts(self) -> bool {
        self != Self::Veth
    }

    /// For people.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Veth => "veth",
            Self::WireguardKernel => "kernel WireGuard",
            Self::WireguardUser => "WireGuard in the warden",
        }
    }
}

/// The link of one instance to its peers, as it was made: what the seal is held against.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct PeerLink {
    /// The interface in the container.
    pub interface: String,
    /// How it leads to the others.
    pub driver: Driver,
    /// Its address.
    pub address: Ipv4Addr,
    /// The peers' addresses.
    pub peers: BTreeMap<HostName, Ipv4Addr>,
    /// The peers' public keys, base64, where the link is encrypted: no other key is let in.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub public_keys: BTreeMap<HostName, String>,
}

/// One end of an encrypted link, as an instance offers it to the others.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Endpoint {
    /// X25519 public key, base64. Its private half never leaves the warden that made it.
    pub public_key: String,
    /// Where its datagrams are received.
    pub address: SocketAddr,
}

impl Cluster {
    /// One of the instances.
    #[must_use]
    pub fn instance(&self, host: &HostName) -> Option<&Instance> {
        self.instances.iter().find(|i| i.host == *host)
    }

    /// All addresses but this instance's own.
    #[must_use]
    pub fn peers_of(&self, host: &HostName) -> BTreeMap<HostName, Ipv4Addr> {
        let others = self.instances.iter().filter(|i| i.host != *host);
        others.map(|i| (i.host.clone(), i.address)).collect()
    }

    /// Names of all instances, as `resourceconfig.json` sorts them: `algo-1`, `algo-10`, `algo-2`.
    #[must_use]
    pub fn hosts(&self) -> Vec<&HostName> {
        let mut hosts: Vec<_> = self.instances.iter().map(|i| &i.host).collect();
        hosts.sort_by_key(|h| h.as_str());
        hosts
    }

    /// What they need of a machine together. Where one may use the whole machine, all may.
    #[must_use]
    pub fn total_resources(&self) -> Resources {
        let all = || self.instances.iter().map(|i| i.resources);
        Resources {
            cpu_millis: all().map(|r| r.cpu_millis).sum(),
            memory_bytes: all().map(|r| r.memory_bytes).sum(),
            processes: all().map(|r| r.processes).fold(0, u32::saturating_add),
        }
    }

    /// Deals the instances out, by turns, to the service's own machine and these nodes; leaves
    /// them together if there are none.
    pub fn spread(&mut self, own: IpAddr, nodes: &[(NodeName, IpAddr)]) {
        if nodes.is_empty() {
            return;
        }
        let own = Site { node: None, address: own };
        let joined = nodes
            .iter()
            .map(|(node, address)| Site { node: Some(node.clone()), address: *address });
        let sites: Vec<Site> = std::iter::once(own).chain(joined).collect();
        for (instance, site) in self.instances.iter_mut().zip(sites.iter().cycle()) {
            instance.site = Some(site.clone());
        }
    }

    /// Whether its instances run on several machines.
    #[must_use]
    pub fn is_spread(&self) -> bool {
        self.instances.iter().any(|i| i.node().is_some())
    }

    /// Whether their links are encrypted: asked for, or because they leave a machine.
    #[must_use]
    pub fn needs_tunnel(&self) -> bool {
        self.encrypted || self.is_spread()
    }

    /// The interface by which they meet.
    #[must_use]
    pub fn interface(&self) -> &'static str {
        if self.is_in_vpc() && self.needs_tunnel() { ENCRYPTED_IN_VPC } else { INTERFACE }
    }

    /// Whether they meet in a VPC, by their own interfaces.
    #[must_use]
    pub fn is_in_vpc(&self) -> bool {
        self.instances.iter().any(|i| i.vpc.as_ref().is_some_and(|link| link.inside))
    }

    /// Names of the groups, in the order of their first instances.
    #[must_use]
    pub fn groups(&self) -> Vec<&str> {
        let mut groups: Vec<&str> = self.instances.iter().map(|i| i.group.as_str()).collect();
        groups.dedup();
        groups
    }
}

impl Assignment {
    /// What one instance of the job is told: its own name, size and data. `None` if the job has
    /// no such instance. The job's own Assignment names the first.
    #[must_use]
    pub fn of_instance(&self, host: &HostName) -> Option<Self> {
        let cluster = self.cluster.as_ref()?;
        let instance = cluster.instance(host)?;
        let mut own = self.clone();
        own.host = host.clone();
        own.instance_type.clone_from(&instance.instance_type);
        own.group.clone_from(&instance.group);
        own.resources = instance.resources;
        own.vpc.clone_from(&instance.vpc);
        own.channels.retain(|c| c.goes_to(&instance.group));
        for channel in &mut own.channels {
            let among: Vec<_> =
                cluster.instances.iter().filter(|i| channel.goes_to(&i.group)).collect();
            let index = among.iter().position(|i| i.host == *host)?;
            channel.shard = channel
                .sharded
                .then_some(Shard { index, count: among.len() })
                .filter(|s| s.count > 1);
        }
        Some(own)
    }

    /// Names of the job's instances, in the order of their numbers.
    #[must_use]
    pub fn hosts(&self) -> Vec<HostName> {
        match &self.cluster {
            Some(cluster) => cluster.instances.iter().map(|i| i.host.clone()).collect(),
            None => vec![self.host.clone()],
        }
    }

    /// What the job needs of a machine while it runs.
    #[must_use]
    pub fn total_resources(&self) -> Resources {
        self.cluster.as_ref().map_or(self.resources, Cluster::total_resources)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Channel;
    use crate::config_files::tests::assignment;

    fn instance(number: u8, group: &str, cpus: u64) -> Instance {
        let resources =
            Resources { cpu_millis: Some(cpus * 1000), memory_bytes: None, processes: 5 };
        Instance::new(number, group, &format!("ml.{group}"), resources)
    }

    fn job() -> Assignment {
        let mut a = assignment();
        let instances =
            vec![instance(1, "head", 4), instance(2, "workers", 2), instance(3, "workers", 2)];
        a.cluster = Some(Cluster { instances, encrypted: false });
        let channel = |name: &str| Channel::files(name.parse().unwrap(), "s3://b/x");
        a.channels = vec![
            channel("all"),
            Channel { sharded: true, ..channel("sharded") },
            Channel { groups: vec!["workers".into()], sharded: true, ..channel("workers") },
            Channel { groups: vec!["head".into()], sharded: true, ..channel("head") },
        ];
        a
    }

    #[test]
    fn each_instance_gets_its_own() {
        let job = job();
        let of = |host: &str| job.of_instance(&host.parse().unwrap()).unwrap();
        let channels = |a: &Assignment| -> Vec<(String, Option<(usize, usize)>)> {
            let shard = |c: &Channel| c.shard.map(|s| (s.index, s.count));
            a.channels.iter().map(|c| (c.name.to_string(), shard(c))).collect()
        };
        let head = of("algo-1");
        assert_eq!(
            (head.instance_type.as_str(), head.resources.cpu_millis),
            ("ml.head", Some(4000))
        );
        let expected = [("all", None), ("sharded", Some((0, 3))), ("head", None)];
        assert_eq!(channels(&head), expected.map(|(n, s)| (n.to_owned(), s)));
        let worker = of("algo-3");
        let expected = [("all", None), ("sharded", Some((2, 3))), ("workers", Some((1, 2)))];
        assert_eq!(channels(&worker), expected.map(|(n, s)| (n.to_owned(), s)));
        assert!(job.of_instance(&"algo-4".parse().unwrap()).is_none());
    }

    #[test]
    fn shards_are_a_partition() {
        let all: Vec<usize> = (0..10).collect();
        for count in 1..12 {
            let mut seen: Vec<usize> = (0..count)
                .flat_map(|index| Shard::of(Some(Shard { index, count }), all.clone()))
                .collect();
            seen.sort_unstable();
            assert_eq!(seen, all);
        }
        assert_eq!(Shard::of(None, all.clone()), all);
    }

    #[test]
    fn what_a_job_needs_is_the_sum() {
        let mut job = job();
        let total = job.total_resources();
        assert_eq!((total.cpu_millis, total.memory_bytes, total.processes), (Some(8000), None, 15));
        job.cluster = None;
        assert_eq!(job.total_resources(), job.resources);
    }

    #[test]
    fn instances_are_dealt_out_by_turns() {
        let mut job = job();
        let cluster = job.cluster.as_mut().unwrap();
        let own: IpAddr = [10, 0, 0, 1].into();
        cluster.spread(own, &[]);
        assert!(!cluster.is_spread() && cluster.instances[0].site.is_none());
        cluster.spread(own, &[("b".parse().unwrap(), [10, 0, 0, 2].into())]);
        let nodes: Vec<_> =
            cluster.instances.iter().map(|i| i.node().map(NodeName::as_str)).collect();
        assert_eq!(nodes, [None, Some("b"), None]);
        assert!(cluster.is_spread());
    }

    #[test]
    fn hosts_are_sorted_as_the_service_sorts_them() {
        let instances = (1..=11).map(|n| instance(n, ONE_GROUP, 1)).collect();
        let cluster = Cluster { instances, encrypted: true };
        let hosts: Vec<_> = cluster.hosts().into_iter().map(|h| h.as_str()).collect();
        assert_eq!(hosts[..4], ["algo-1", "algo-10", "algo-11", "algo-2"]);
        assert_eq!(cluster.groups(), [ONE_GROUP]);
        assert_eq!(cluster.peers_of(&"algo-1".parse().unwrap()).len(), 10);
    }
}
