//! What a golden copy has of the network: one record of each kind.

use crate::network::{self, Kept};
use belljar_domain::Timestamp;
use belljar_vpc::network::Change;
use belljar_vpc::{Description, Network};
use rusqlite::Connection;
use serde_json::{Value, from_value, json};
use std::collections::BTreeMap;

fn description() -> Description {
    let mut all = guarded();
    for (name, records) in others().as_object().unwrap() {
        all[name] = records.clone();
    }
    from_value(all).unwrap()
}

/// VPC, subnet, and what guards them.
fn guarded() -> Value {
    json!({
        "vpcs": {"vpc-1": {
            "cidrs": [
                {"association": "vpc-cidr-assoc-1", "block": "10.0.0.0/16"},
                {"association": "vpc-cidr-assoc-2", "block": "2600:1f00::/56"},
            ],
            "dnsSupport": true, "dnsHostnames": true, "dhcpOptions": "dopt-1", "isDefault": false,
        }},
        "subnets": {"subnet-1": {
            "vpc": "vpc-1", "zone": "us-east-1a", "block": "10.0.0.0/24",
            "blockV6": "2600:1f00::/64", "associationV6": "subnet-cidr-assoc-1",
            "mapPublicIp": false, "assignV6": true, "defaultForZone": false,
        }},
        "groups": {"sg-1": {
            "vpc": "vpc-1", "name": "default", "description": "d", "rules": {
                "sgr-1": {
                    "direction": "ingress", "traffic": {"kind": "all"},
                    "peer": {"group": "sg-1"}, "description": null,
                },
                "sgr-2": {
                    "direction": "egress",
                    "traffic": {"kind": "ports", "transport": "tcp", "from": 443, "to": 443},
                    "peer": {"prefixList": "pl-1"}, "description": "s3",
                },
                "sgr-3": {
                    "direction": "egress",
                    "traffic": {"kind": "icmp", "v6": false, "type": 8, "code": null},
                    "peer": {"cidr": "0.0.0.0/0"}, "description": null,
                },
            },
        }},
        "acls": {"acl-1": {
            "vpc": "vpc-1", "isDefault": true, "egress": {}, "ingress": {"100": {
                "traffic": {"kind": "protocol", "number": 47}, "block": "::/0", "allow": true,
            }},
            "associations": {"subnet-1": "aclassoc-1"},
        }},
    })
}

/// Ways in and out, and what is beside them.
fn others() -> Value {
    json!({
        "routeTables": {"rtb-1": {
            "vpc": "vpc-1", "main": "rtbassoc-1", "associations": {}, "routes": [
                route(json!({"cidr": "0.0.0.0/0"}), json!({"internet": "igw-1"})),
                route(json!({"prefixList": "pl-1"}), json!({"endpoint": "vpce-1"})),
            ],
        }},
        "internetGateways": {"igw-1": {"vpc": "vpc-1"}},
        "natGateways": {"nat-1": {
            "subnet": "subnet-1", "interface": "eni-1", "allocation": "eipalloc-1",
            "available": true,
        }},
        "addresses": {"eipalloc-1": {
            "public": "203.0.113.7", "association": ["eipassoc-1", "eni-1", "10.0.0.4"],
        }},
        "interfaces": {"eni-1": {
            "subnet": "subnet-1", "addresses": [{"address": "10.0.0.4", "public": null}],
            "addressesV6": ["2600:1f00::4"], "groups": ["sg-1"], "sourceDestCheck": true,
            "mac": "02:00:00:00:00:01", "description": "d", "kind": "natGateway",
            "requesterManaged": true, "attachment": {"id": "eni-attach-1", "owner": "nat-1"},
        }},
        "endpoints": {
            "vpce-1": {
                "vpc": "vpc-1", "service": "com.amazonaws.us-east-1.s3", "policy": null,
                "kind": {"gateway": {"route_tables": ["rtb-1"]}},
            },
        },
        "prefixLists": {"pl-1": {
            "name": "com.amazonaws.us-east-1.s3", "owner": "AWS", "v6": false, "maxEntries": 3,
            "version": 1, "entries": {"52.216.0.0/15": null},
        }},
        "peerings": {"pcx-1": {
            "requester": "vpc-1", "accepter": "vpc-1", "status": "active", "dnsResolution": false,
        }},
        "dhcpOptions": {"dopt-1": {"options": {"domain-name": ["example.com"]}}},
        "zones": {"Z1": {
            "name": "corp.example.com.", "callerReference": "r", "comment": null,
            "vpcs": ["vpc-1"], "records": {"a.corp.example.com.": {"A": {
                "ttl": 60, "values": ["10.0.0.4"],
            }}},
        }},
        "flowLogs": {"fl-1": {
            "of": {"subnet": "subnet-1"}, "traffic": "REJECT",
            "destination": {"logs": "group"}, "format": "${version}", "interval": 600,
            "role": null,
        }},
    })
}

fn route(destination: Value, target: Value) -> Value {
    json!({"destination": destination, "target": target, "origin": "createRoute"})
}

/// A network with a record of each kind, a note and a tag.
pub(super) fn fill(c: &Connection, now: Timestamp) {
    Network::new(description()).unwrap();
    let changes: Vec<Change> = description().records().map(Change::Put).collect();
    network::apply(c, 1, &changes, now).unwrap();
    network::note(c, ("kind", "id"), Some(&json!({"a": 1}))).unwrap();
    network::set_tags(c, "vpc-1", &[("k".to_owned(), "v".to_owned())].into()).unwrap();
}

/// Reads what [`fill`] wrote.
pub(super) fn check(c: &Connection) {
    let Kept { generation, description: read, created, notes, tags } = network::load(c).unwrap();
    assert_eq!(generation, Some(1));
    assert_eq!(read, description());
    assert_eq!(created.len(), read.records().count());
    assert_eq!(notes.values().collect::<Vec<_>>(), [&json!({"a": 1})]);
    let of = BTreeMap::from([("k".to_owned(), "v".to_owned())]);
    assert_eq!(tags, [("vpc-1".to_owned(), of)].into());
}
