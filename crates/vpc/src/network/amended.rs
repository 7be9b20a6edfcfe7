//! A network with a few records more: what a mended one would explain.

use super::{Change, EndpointKind, Fault, Interface, Network, Record};
use crate::id::{EndpointId, InterfaceId};
use std::net::IpAddr;

impl Network {
    /// This network after changes. What can only add to it is not checked anew, which for a large
    /// network takes most of the time; it must be what could be made.
    pub(crate) fn amended(&self, changes: Vec<Change>) -> Result<Self, Fault> {
        if !changes.iter().all(|change| self.is_addition(change)) {
            let mut description = self.description.clone();
            changes.into_iter().for_each(|change| description.apply(change));
            return Self::new(description);
        }
        let mut network = self.clone();
        for change in changes {
            match &change {
                Change::Put(Record::Interface(id, record)) => network.note(id, record),
                Change::Put(Record::Endpoint(id, record)) => network.join(id, &record.kind),
                _ => {}
            }
            network.description.apply(change);
        }
        Ok(network)
    }

    /// Whether all that is known of other records stays as it is.
    fn is_addition(&self, change: &Change) -> bool {
        match change {
            Change::Put(Record::Interface(id, record)) => {
                let public = record.addresses.iter().any(|a| a.public.is_some());
                !public && record.addresses_v6.is_empty() && !self.interfaces.contains_key(id)
            }
            // It keeps its interfaces, or is new.
            Change::Put(Record::Endpoint(id, record)) => {
                let of = |kind: &EndpointKind| match kind {
                    EndpointKind::Interface { interfaces, .. } => interfaces.clone(),
                    EndpointKind::Gateway { .. } => Default::default(),
                };
                self.endpoints.get(id).is_none_or(|old| of(&old.kind) == of(&record.kind))
            }
            // Blocks are what others are held against.
            Change::Put(Record::Vpc(id, record)) => self.vpcs.get(id).is_some_and(|old| {
                old.cidrs == record.cidrs && old.dhcp_options == record.dhcp_options
            }),
            _ => false,
        }
    }

    fn note(&mut self, id: &InterfaceId, record: &Interface) {
        if let Some(subnet) = self.description.subnets.get(&record.subnet) {
            for address in &record.addresses {
                let key = (subnet.vpc.clone(), IpAddr::V4(address.address));
                self.by_address.insert(key, id.clone());
            }
        }
        for group in &record.groups {
            let all = self.members.entry(group.clone()).or_default();
            all.push(id.clone());
            all.sort_unstable();
        }
    }

    fn join(&mut self, id: &EndpointId, kind: &EndpointKind) {
        let EndpointKind::Interface { interfaces, .. } = kind else { return };
        let all = interfaces.values();
        self.endpoint_of.extend(all.map(|interface| (interface.clone(), id.clone())));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::Endpoint;
    use crate::sample;

    #[test]
    fn it_is_what_a_check_would_make_of_it() {
        let mut additions = 0;
        for seed in 0..60 {
            let mut whole = sample::random(seed).unwrap();
            // Of one interface, as of an endpoint that did not have it.
            let plain = |i: &Interface| {
                i.addresses_v6.is_empty() && i.addresses.iter().all(|a| a.public.is_none())
            };
            let Some((id, record)) = whole.interfaces.iter().find(|(_, i)| plain(i)) else {
                continue;
            };
            let (id, record) = (id.clone(), record.as_ref().clone());
            let mut fewer = whole.clone();
            fewer.interfaces.remove(&id);
            let Ok(fewer) = Network::new(fewer) else { continue };
            let interfaces = [(record.subnet.clone(), id.clone())].into();
            let groups = record.groups.clone();
            let kind = EndpointKind::Interface { interfaces, groups, private_dns: true };
            let vpc = whole.subnets[&record.subnet].vpc.clone();
            let mut attributes = whole.vpcs[&vpc].as_ref().clone();
            attributes.dns_support = !attributes.dns_support;
            let service = "com.amazonaws.us-east-1.logs".to_owned();
            let endpoint = Endpoint { vpc: vpc.clone(), service, kind, policy: None };
            let changes = vec![
                Change::Put(Record::Interface(id, record)),
                Change::Put(Record::Endpoint("vpce-new".parse().unwrap(), endpoint)),
                Change::Put(Record::Vpc(vpc, attributes)),
            ];
            additions += usize::from(changes.iter().all(|c| fewer.is_addition(c)));
            changes.iter().for_each(|change| whole.apply(change.clone()));
            let (amended, checked) =
                (fewer.amended(changes).unwrap(), Network::new(whole).unwrap());
            assert_eq!(amended.description, checked.description);
            assert_eq!(amended.by_address, checked.by_address);
            assert_eq!(amended.members, checked.members);
            assert_eq!(amended.endpoint_of, checked.endpoint_of);
        }
        assert!(additions > 20, "only {additions}");
    }
}
