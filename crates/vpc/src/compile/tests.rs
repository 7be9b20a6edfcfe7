//! What is compiled after a change is what is compiled from nothing.

use super::*;
use crate::network::{Change, Description, Record, RecordId};
use crate::sample::{self, Dice};

fn from_nothing(network: &Network) -> Routers {
    network.vpcs.keys().map(|id| (id.clone(), Arc::new(compile(network, id)))).collect()
}

/// Some of the changes from one network to another, in some order.
fn some(dice: &mut Dice, from: &Description, to: &Description) -> Description {
    let mut next = from.clone();
    let mut changes = from.changes_to(to);
    let small = dice.one_in(2);
    changes.retain(|change| {
        let of_few = matches!(
            change,
            Change::Put(Record::Interface(..) | Record::Group(..))
                | Change::Remove(RecordId::Interface(_) | RecordId::Group(_))
        );
        (of_few || !small) && dice.one_in(3)
    });
    changes.into_iter().for_each(|change| next.apply(change));
    if small {
        shake(dice, &mut next);
    }
    next
}

/// What two random networks seldom differ in: a group or an interface goes, a public address comes
/// or moves.
fn shake(dice: &mut Dice, next: &mut Description) {
    let ids: Vec<_> = next.groups.keys().cloned().collect();
    if !ids.is_empty() && dice.one_in(3) {
        let gone = dice.pick(&ids);
        next.groups.remove(gone);
        for record in next.interfaces.values_mut().filter(|i| i.groups.contains(gone)) {
            Arc::make_mut(record).groups.retain(|g| g != gone);
        }
    }
    let ids: Vec<_> = next.interfaces.keys().cloned().collect();
    if !ids.is_empty() && dice.one_in(4) {
        next.interfaces.remove(dice.pick(&ids));
    } else if !ids.is_empty() && dice.one_in(2) {
        let record = next.interfaces.get_mut(dice.pick(&ids)).unwrap();
        let public = Ipv4Addr::new(203, 0, 113, dice.below(2) as u8);
        let addresses = &mut Arc::make_mut(record).addresses;
        addresses.iter_mut().for_each(|a| a.public = Some(public));
    }
}

#[test]
fn what_was_changed_is_as_if_compiled_from_nothing() {
    let mut shared = 0;
    for seed in 0..80 {
        let dice = &mut Dice::new(seed);
        let mut network = Network::new(sample::random(seed).unwrap()).unwrap();
        let mut routers = compile_all(&network, None);
        for step in 0..12 {
            let other = sample::random(dice.below(1 << 20)).unwrap();
            let Ok(next) = Network::new(some(dice, &network, &other)) else { continue };
            let after = compile_all(&next, Some((&network, &routers)));
            assert!(after == from_nothing(&next), "seed {seed}, step {step}");
            let is_shared = |(id, r): (&VpcId, &Arc<Router>)| {
                routers.get(id).is_some_and(|before| Arc::ptr_eq(before, r))
            };
            shared += usize::from(after.iter().any(is_shared));
            (network, routers) = (next, after);
        }
    }
    assert!(shared > 30, "only {shared} changes left a VPC as it was");
}

#[test]
fn one_more_interface_shares_all_that_it_is_not_in() {
    let whole = sample::large(300, 20, 10).unwrap();
    let last: InterfaceId = whole.interfaces.keys().next_back().cloned().unwrap();
    let mut fewer = whole.clone();
    fewer.interfaces.remove(&last);
    let (fewer, whole) = (Network::new(fewer).unwrap(), Network::new(whole).unwrap());
    let before = compile_all(&fewer, None);
    for (next, routers, old) in
        [(&whole, &before, &fewer), (&fewer, &compile_all(&whole, Some((&fewer, &before))), &whole)]
    {
        let after = compile_all(next, Some((old, routers)));
        assert!(after == from_nothing(next));
        let (id, after) = after.iter().next().unwrap();
        let is_kept = |(name, set): (&Name, &Shared<Set>)| {
            routers[id].sets.get(name).is_some_and(|old| std::ptr::eq(&**old, &**set))
        };
        let kept = after.sets.iter().filter(|entry| is_kept(*entry)).count();
        assert!(after.sets.len() - kept < 16, "{kept} of {}", after.sets.len());
    }
}
