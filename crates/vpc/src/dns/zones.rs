//! Private hosted zones.

use super::{Answer, Record};
use crate::id::VpcId;
use crate::network::{HostedZone, Network, RecordSet, RecordType};

/// What a zone says.
pub(super) enum Found {
    /// The name is another one's.
    Alias(Record),
    Answer(Answer),
}

/// The zone of a VPC that a name is in: the longest one (Route 53 Developer Guide).
pub(super) fn of<'a>(network: &'a Network, vpc: &VpcId, name: &str) -> Option<&'a HostedZone> {
    let zones = network.zones.values().map(AsRef::as_ref);
    let has = |z: &&HostedZone| z.vpcs.contains(vpc) && within(name, &z.name);
    zones.filter(has).max_by_key(|z: &&HostedZone| z.name.len())
}

/// Whether a name is a domain or below it.
fn within(name: &str, domain: &str) -> bool {
    let Some(rest) = name.strip_suffix(domain) else { return false };
    rest.is_empty() || rest.ends_with('.') || domain == "."
}

/// What a zone has of a name that is in it. It knows all of its names: what it does not have does
/// not exist, even if the internet had it.
pub(super) fn look_up(zone: &HostedZone, name: &str, kind: RecordType) -> Found {
    if let Some(sets) = zone.records.get(name) {
        return one(name, sets, kind);
    }
    // The nearest ancestor that exists may have a wildcard (RFC 4592, "closest encloser").
    let owners = zone.records.keys().chain(std::iter::once(&zone.name));
    let nearest = owners.map(|owner| shared(name, owner)).max_by_key(|s| s.len()).unwrap_or("");
    if nearest == name {
        return Found::Answer(Answer::NoData(vec![]));
    }
    let wildcard = zone.records.get(&format!("*.{nearest}"));
    let wildcard = wildcard.or_else(|| zone.records.get(&format!("\\052.{nearest}")));
    wildcard.map_or(Found::Answer(Answer::NoName(vec![])), |s| one(name, s, kind))
}

/// The whole labels that a name ends with and another one does, too. Asked once of each owner, which
/// a name of many labels would otherwise be of each of its ancestors.
fn shared<'a>(name: &'a str, owner: &str) -> &'a str {
    let ends = name.bytes().rev().zip(owner.bytes().rev());
    let same = ends.take_while(|(a, b)| a == b).count();
    let start = name.len() - same;
    let begins = |of: &str, at: usize| at == 0 || of.as_bytes()[at - 1] == b'.';
    if begins(name, start) && begins(owner, owner.len() - same) {
        return &name[start..];
    }
    let dot = name.as_bytes()[start..].iter().position(|b| *b == b'.');
    dot.map_or("", |dot| &name[start + dot + 1..])
}

fn one(
    name: &str,
    sets: &std::collections::BTreeMap<RecordType, RecordSet>,
    kind: RecordType,
) -> Found {
    let records = |kind: RecordType, set: &RecordSet| -> Vec<Record> {
        let record =
            |v: &String| Record { name: name.to_owned(), kind, ttl: set.ttl, value: v.clone() };
        set.values.iter().map(record).collect()
    };
    if let Some(set) = sets.get(&kind) {
        return Found::Answer(Answer::Records(records(kind, set)));
    }
    let alias = sets.get(&RecordType::Cname).map(|set| records(RecordType::Cname, set));
    match alias.and_then(|all| all.into_iter().next()) {
        Some(alias) => Found::Alias(alias),
        None => Found::Answer(Answer::NoData(vec![])),
    }
}

#[cfg(test)]
mod tests {
    use super::shared;

    #[test]
    fn names_share_whole_labels() {
        for (name, owner, both) in [
            ("a.b.com.", "b.com.", "b.com."),
            ("b.com.", "a.b.com.", "b.com."),
            ("a.com.", "ba.com.", "com."),
            ("ba.com.", "a.com.", "com."),
            ("x.com.", "y.com.", "com."),
            ("a.com.", "a.com.", "a.com."),
            ("a.com.", "a.org.", ""),
            ("\u{e9}.com.", "\u{e8}.com.", "com."),
            ("a.com.", ".", ""),
            ("", "a.", ""),
        ] {
            assert_eq!(shared(name, owner), both, "{name} {owner}");
        }
    }
}
