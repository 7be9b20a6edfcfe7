use super::*;
use belljar_vpc::network::{RecordId, Vpc, VpcCidr};
use serde_json::json;

fn vpc(block: &str) -> Record {
    let cidr =
        VpcCidr { association: "vpc-cidr-assoc-1".parse().unwrap(), block: block.parse().unwrap() };
    let vpc = Vpc {
        cidrs: vec![cidr],
        dns_support: true,
        dns_hostnames: false,
        dhcp_options: None,
        is_default: false,
    };
    Record::Vpc("vpc-1".parse().unwrap(), vpc)
}

fn opened() -> Connection {
    let c = Connection::open_in_memory().unwrap();
    c.execute_batch(crate::jobs::SCHEMA).unwrap();
    c.execute_batch(SCHEMA).unwrap();
    c
}

#[test]
fn what_was_written_is_read_and_keeps_the_time_at_which_it_was_made() {
    let c = opened();
    assert_eq!(load(&c).unwrap(), Kept::default());
    let at = Timestamp::from_millis;
    apply(&c, 1, &[Change::Put(vpc("10.0.0.0/16"))], at(5)).unwrap();
    apply(&c, 2, &[Change::Put(vpc("10.1.0.0/16"))], at(6)).unwrap();
    note(&c, ("token", "t"), Some(&json!({"a": 1}))).unwrap();
    let tags: BTreeMap<_, _> = [("k".to_owned(), "v".to_owned())].into();
    set_tags(&c, "vpc-1", &tags).unwrap();
    add_tags(&c, "arn:aws:sagemaker:x", &tags).unwrap();
    let kept = load(&c).unwrap();
    assert_eq!(kept.generation, Some(2));
    assert_eq!(kept.description.records().collect::<Vec<_>>(), [vpc("10.1.0.0/16")]);
    assert_eq!(kept.created, [("vpc-1".to_owned(), at(5))].into());
    assert_eq!(kept.notes, [(("token".to_owned(), "t".to_owned()), json!({"a": 1}))].into());
    assert_eq!(kept.tags, [("vpc-1".to_owned(), tags)].into());

    apply(&c, 3, &[Change::Remove(RecordId::Vpc("vpc-1".parse().unwrap()))], at(7)).unwrap();
    note(&c, ("token", "t"), None).unwrap();
    set_tags(&c, "vpc-1", &BTreeMap::new()).unwrap();
    assert_eq!(load(&c).unwrap(), Kept { generation: Some(3), ..Kept::default() });
}
