use super::*;
use crate::api::testing::Tested;
use belljar_vpc::id::{SubnetId, VpcId};
use belljar_vpc::network::RecordId;

fn block(text: &str) -> ipnet::Ipv4Net {
    text.parse().unwrap()
}

#[tokio::test]
async fn a_first_start_makes_the_default_vpc_and_a_later_one_finds_it() {
    let t = Tested::new().await;
    let now = t.service.network.current();
    assert_eq!(now.generation, 1);
    let (vpc, record) = now.vpcs.first_key_value().unwrap();
    assert!(record.is_default && record.dns_support && record.dns_hostnames);
    let (subnet, of) = now.subnets.first_key_value().unwrap();
    assert_eq!((of.block, &of.vpc), (block("172.31.0.0/20"), vpc));
    assert_eq!(now.acl(subnet).unwrap().1.ingress.len(), 1);
    assert_eq!(now.route_table(subnet).unwrap().1.routes.len(), 1);
    let list = now.prefix_lists.values().next().unwrap();
    assert_eq!((list.name.as_str(), list.owner.as_str()), ("com.amazonaws.us-east-1.s3", "AWS"));

    let again = Networks::open(&t.service.state, &t.service.config).await.unwrap();
    assert_eq!(again.current().description(), now.description());
    assert_eq!(again.current().created, now.created);
}

#[tokio::test]
async fn an_edit_is_kept_told_and_counted() {
    let t = Tested::new().await;
    let networks = &t.service.network;
    let mut told = networks.subscribe();
    let (id, now) = networks
        .edit(|draft| {
            let id = vpcs::create(draft, block("10.0.0.0/16"), false, "us-east-1").vpc;
            draft.tag(id.as_str(), [("k".to_owned(), "v".to_owned())].into());
            draft.set_note("kind", "id", 5.into());
            Ok(id)
        })
        .await
        .unwrap();
    assert!(told.has_changed().unwrap());
    assert_eq!(told.borrow_and_update().generation, 2);
    assert_eq!((now.tags[id.as_str()].len(), now.created.contains_key(id.as_str())), (1, true));
    let again = Networks::open(&t.service.state, &t.service.config).await.unwrap().current();
    assert_eq!((&again.tags, &again.notes), (&now.tags, &now.notes));

    // A tag changes nothing that is enforced.
    let tag = |draft: &mut Draft| {
        draft.tag(id.as_str(), [("k".to_owned(), "w".to_owned())].into());
        Ok(())
    };
    let ((), now) = networks.edit(tag).await.unwrap();
    assert_eq!(now.generation, 2);
    let ((), same) = networks.edit(tag).await.unwrap();
    assert!(Arc::ptr_eq(&now, &same), "nothing was changed");

    // Tags go with what has them.
    let gone = networks.edit(|draft| {
        draft.vpcs.remove(&id);
        draft.groups.retain(|_, g| g.vpc != id);
        draft.acls.retain(|_, a| a.vpc != id);
        draft.route_tables.retain(|_, r| r.vpc != id);
        Ok(())
    });
    let ((), now) = gone.await.unwrap();
    assert!(now.tags.is_empty() && !now.created.contains_key(id.as_str()));
    let again = Networks::open(&t.service.state, &t.service.config).await.unwrap().current();
    assert_eq!((again.generation, &again.tags), (3, &now.tags));
}

#[tokio::test]
async fn what_is_not_a_network_is_refused_and_nothing_is_changed() {
    let t = Tested::new().await;
    let before = t.service.network.current();
    let id: VpcId = before.vpcs.keys().next().unwrap().clone();
    let edit = t.service.network.edit(|draft| {
        draft.vpcs.remove(&id);
        Ok(())
    });
    let e = edit.await.unwrap_err();
    assert_eq!(e.code, "InvalidParameterValue");
    assert!(e.message.starts_with("The network would not be valid any more: "), "{e}");
    let reserved = t.service.network.edit(|draft| {
        draft.tag(id.as_str(), [("aws:x".to_owned(), String::new())].into());
        Ok(())
    });
    assert_eq!(reserved.await.unwrap_err().code, "InvalidParameterValue");
    assert!(Arc::ptr_eq(&before, &t.service.network.current()));
}

#[tokio::test]
async fn edits_follow_each_other() {
    let t = Tested::new().await;
    let make = |n: u8| {
        t.service.network.edit(move |draft| {
            Ok(vpcs::create(draft, block(&format!("10.{n}.0.0/16")), false, "us-east-1").vpc)
        })
    };
    let (a, b, c) = tokio::join!(make(1), make(2), make(3));
    let now = t.service.network.current();
    assert_eq!(now.generation, 4);
    for made in [a, b, c] {
        assert!(now.vpcs.contains_key(&made.unwrap().0));
    }
}

#[tokio::test]
async fn interfaces_get_the_addresses_that_are_free_until_none_is() {
    let t = Tested::new().await;
    let subnet: SubnetId = t.service.network.current().subnets.keys().next().unwrap().clone();
    let wanted = |more| interfaces::Wanted {
        more,
        ..interfaces::Wanted::of(subnet.clone(), Vec::new(), "arn:job", "of a job")
    };
    let edit = t.service.network.edit(|draft| {
        let id = interfaces::create(draft, wanted(1))?;
        let other = interfaces::create(draft, wanted(0))?;
        Ok((id, other))
    });
    let ((id, other), now) = edit.await.unwrap();
    let of = |id| -> Vec<String> {
        now.interfaces[id].addresses.iter().map(|a| a.address.to_string()).collect()
    };
    assert_eq!(
        (of(&id), of(&other)),
        (vec!["172.31.0.4".into(), "172.31.0.5".into()], vec!["172.31.0.6".to_owned()])
    );
    assert_eq!(now.interfaces[&id].attachment.as_ref().unwrap().owner, "arn:job");
    let edit = t.service.network.edit(|draft| {
        let taken = [[172, 31, 0, 6].into()];
        let e = interfaces::assign(draft, &id, &taken, 0).unwrap_err();
        assert_eq!(e.code, "InvalidIPAddress.InUse");
        for _ in 0..81 {
            interfaces::create(draft, wanted(49))?;
        }
        interfaces::create(draft, wanted(37))
    });
    let ((), now) = edit.await.map(|(_, now)| ((), now)).unwrap();
    assert_eq!(interfaces::counts(&now)[&subnet], now.subnets[&subnet].capacity());
    let edit = t.service.network.edit(|draft| interfaces::create(draft, wanted(0)));
    assert_eq!(edit.await.unwrap_err().code, "InsufficientFreeAddressesInSubnet");
    let edit = t.service.network.edit(|draft| interfaces::delete(draft, &other));
    let ((), now) = edit.await.unwrap();
    assert!(!now.interfaces.contains_key(&other));
    let changes = now.description().changes_to(&Default::default());
    assert!(changes.contains(&Change::Remove(RecordId::Interface(id))));
}
