//! All records of a region, and how they change.

use super::{
    DhcpOptions, ElasticAddress, Endpoint, FlowLog, HostedZone, Interface, InternetGateway,
    NatGateway, NetworkAcl, Peering, PrefixList, RouteTable, SecurityGroup, Subnet, Vpc,
};
use crate::id::{
    AclId, AllocationId, DhcpOptionsId, EndpointId, FlowLogId, GroupId, InterfaceId,
    InternetGatewayId, NatGatewayId, PeeringId, PrefixListId, RouteTableId, SubnetId, VpcId,
    ZoneId,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;

macro_rules! records {
    ($($(#[$doc:meta])* $field:ident: $variant:ident($id:ty, $record:ty),)*) => {
        /// Everything there is, by id. A copy shares the records with its original.
        #[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
        #[serde(deny_unknown_fields, rename_all = "camelCase", default)]
        pub struct Description {
            $($(#[$doc])* #[serde(with = "shared")] pub $field: BTreeMap<$id, Arc<$record>>,)*
        }

        /// The id of a record of any kind.
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "camelCase")]
        pub enum RecordId {
            $($(#[$doc])* $variant($id),)*
        }

        /// A record of any kind, with its id.
        #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(rename_all = "camelCase")]
        pub enum Record {
            $($(#[$doc])* $variant($id, $record),)*
        }

        impl RecordId {
            /// Of which kind, in one word.
            #[must_use]
            pub const fn kind(&self) -> &'static str {
                match self { $(Self::$variant(_) => stringify!($variant),)* }
            }

            /// The id as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                match self { $(Self::$variant(id) => id.as_str(),)* }
            }
        }

        impl Record {
            /// Its id.
            #[must_use]
            pub fn id(&self) -> RecordId {
                match self { $(Self::$variant(id, _) => RecordId::$variant(id.clone()),)* }
            }
        }

        impl Description {
            /// Carries out one change.
            pub fn apply(&mut self, change: Change) {
                match change {
                    $(Change::Put(Record::$variant(id, record)) => {
                        self.$field.insert(id, Arc::new(record));
                    })*
                    $(Change::Remove(RecordId::$variant(id)) => {
                        self.$field.remove(&id);
                    })*
                }
            }

            /// Every record, in the order of kinds and ids.
            pub fn records(&self) -> impl Iterator<Item = Record> + '_ {
                std::iter::empty()
                    $(.chain(self.$field.iter().map(|(id, r)| {
                        Record::$variant(id.clone(), r.as_ref().clone())
                    })))*
            }

            /// What makes `other` of this. Records that both share are not looked into.
            #[must_use]
            pub fn changes_to(&self, other: &Self) -> Vec<Change> {
                let mut changes = Vec::new();
                $(
                    let ids = differing(&self.$field, &other.$field);
                    for id in ids.iter().filter(|id| !other.$field.contains_key(**id)) {
                        changes.push(Change::Remove(RecordId::$variant((*id).clone())));
                    }
                    for id in ids {
                        if let Some(new) = other.$field.get(id)
                            && self.$field.get(id) != Some(new)
                        {
                            let record = new.as_ref().clone();
                            changes.push(Change::Put(Record::$variant(id.clone(), record)));
                        }
                    }
                )*
                changes
            }
        }
    };
}

records! {
    /// VPCs.
    vpcs: Vpc(VpcId, Vpc),
    /// Subnets.
    subnets: Subnet(SubnetId, Subnet),
    /// Security groups.
    groups: Group(GroupId, SecurityGroup),
    /// Network ACLs.
    acls: Acl(AclId, NetworkAcl),
    /// Route tables.
    route_tables: RouteTable(RouteTableId, RouteTable),
    /// Internet gateways.
    internet_gateways: InternetGateway(InternetGatewayId, InternetGateway),
    /// NAT gateways.
    nat_gateways: NatGateway(NatGatewayId, NatGateway),
    /// Elastic addresses.
    addresses: Address(AllocationId, ElasticAddress),
    /// Network interfaces.
    interfaces: Interface(InterfaceId, Interface),
    /// VPC endpoints.
    endpoints: Endpoint(EndpointId, Endpoint),
    /// Prefix lists.
    prefix_lists: PrefixList(PrefixListId, PrefixList),
    /// Peering connections.
    peerings: Peering(PeeringId, Peering),
    /// DHCP options sets.
    dhcp_options: DhcpOptions(DhcpOptionsId, DhcpOptions),
    /// Private hosted zones.
    zones: Zone(ZoneId, HostedZone),
    /// Flow logs.
    flow_logs: FlowLog(FlowLogId, FlowLog),
}

/// One change of a description.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Change {
    /// There is this record, in the place of one with its id.
    Put(Record),
    /// There is none with this id.
    Remove(RecordId),
}

/// Records of a kind.
pub(crate) type Records<K, V> = BTreeMap<K, Arc<V>>;

/// The ids of records that are not shared.
pub(crate) fn differing<'a, K: Ord, V>(
    old: &'a Records<K, V>,
    new: &'a Records<K, V>,
) -> Vec<&'a K> {
    let mut out = Vec::new();
    let (mut old, mut new) = (old.iter().peekable(), new.iter().peekable());
    while let (Some((k, v)), Some((l, w))) = (old.peek(), new.peek()) {
        let order = k.cmp(l);
        if order.is_ne() || !Arc::ptr_eq(v, w) {
            out.push(if order.is_le() { *k } else { *l });
        }
        let (was, is) = (order.is_le(), order.is_ge());
        if was {
            old.next();
        }
        if is {
            new.next();
        }
    }
    out.extend(old.chain(new).map(|(k, _)| k));
    out
}

/// Maps of shared records, written as if they were not shared.
mod shared {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};
    use std::collections::BTreeMap;
    use std::sync::Arc;

    pub(super) fn serialize<S, K, V>(
        map: &BTreeMap<K, Arc<V>>,
        serializer: S,
    ) -> Result<S::Ok, S::Error>
    where
        S: Serializer,
        K: Serialize,
        V: Serialize,
    {
        serializer.collect_map(map.iter().map(|(id, record)| (id, record.as_ref())))
    }

    pub(super) fn deserialize<'de, D, K, V>(
        deserializer: D,
    ) -> Result<BTreeMap<K, Arc<V>>, D::Error>
    where
        D: Deserializer<'de>,
        K: Deserialize<'de> + Ord,
        V: Deserialize<'de>,
    {
        let map = BTreeMap::<K, V>::deserialize(deserializer)?;
        Ok(map.into_iter().map(|(id, record)| (id, Arc::new(record))).collect())
    }
}
