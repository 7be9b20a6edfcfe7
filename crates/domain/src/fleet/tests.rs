use super::*;
use crate::endpoint::{Deployment, EndpointProgress};
use crate::{Resources, instance};

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_millis(seconds * 1000)
}

fn variant(name: &str, count: u32) -> Variant {
    Variant {
        internet: false,
        role: None,
        name: name.into(),
        model: "m".into(),
        containers: Vec::new(),
        direct: false,
        instance_type: "ml.m5.large".into(),
        resources: Resources {
            cpu_millis: None,
            memory_bytes: None,
            processes: instance::MAX_PROCESSES,
        },
        count,
        weight: 1.0,
        routing: crate::endpoint::Routing::default(),
        download_seconds: 60,
        startup_seconds: 60,
        notices: Vec::new(),
        vpc: None,
    }
}

fn deployment(variants: &[(&str, u32)]) -> Deployment {
    let variants = variants.iter().map(|(name, count)| variant(name, *count)).collect();
    Deployment { config: "c".into(), variants, asynchronous: None }
}

fn endpoint(variants: &[(&str, u32)]) -> Endpoint {
    Endpoint {
        name: "e".into(),
        arn: "arn".into(),
        created: at(0),
        modified: at(0),
        progress: EndpointProgress::creating(deployment(variants), at(0)),
    }
}

fn in_service(variants: &[(&str, u32)]) -> Endpoint {
    let mut e = endpoint(variants);
    e.progress.current = e.progress.next.take();
    e.progress.status = EndpointStatus::InService;
    e
}

fn seen(id: &str, fleet: u64, state: State) -> Seen {
    let server = Server {
        id: id.into(),
        endpoint: "e".into(),
        fleet,
        variant: "v".into(),
        zone: "a".into(),
        containers: 1,
        tries: 0,
        begun: at(0),
        stopping: None,
        role: None,
        isolated: true,
    };
    let over = matches!(state, State::Dead { .. });
    Seen { server, state, outstanding: 0, over }
}

fn zones() -> Vec<String> {
    ["a", "b", "c"].map(String::from).to_vec()
}

fn steps(e: &Endpoint, seen: &[Seen], now: i64) -> Vec<Step> {
    plan(e, seen, &zones(), at(now))
}

fn begun_zones(steps: &[Step]) -> Vec<&str> {
    steps
        .iter()
        .filter_map(|s| match s {
            Step::Begin { zone, .. } => Some(zone.as_str()),
            _ => None,
        })
        .collect()
}

fn dead(ran: bool) -> State {
    State::Dead { why: "it broke".into(), ran }
}

#[test]
fn instances_are_spread_over_the_zones() {
    let all = steps(&endpoint(&[("v", 5)]), &[], 0);
    assert_eq!(begun_zones(&all), ["a", "b", "c", "a", "b"]);
    let all = steps(&endpoint(&[("v", 2)]), &[seen("i-1", 1, State::Starting)], 0);
    assert_eq!(begun_zones(&all), ["b"]);
}

#[test]
fn a_fleet_takes_over_when_all_of_it_is_healthy() {
    let e = endpoint(&[("v", 2)]);
    let two = |second| vec![seen("i-1", 1, State::Healthy), seen("i-2", 1, second)];
    assert_eq!(steps(&e, &two(State::Starting), 1), []);
    assert_eq!(steps(&e, &two(State::Healthy), 1), [Step::TakeOver]);
    assert_eq!(steps(&e, &two(State::NotBegun), 1), [Step::Start("i-2".into())]);
}

#[test]
fn the_old_fleet_stays_until_the_new_one_has_taken_over_and_its_time_is_up() {
    let mut e = in_service(&[("v", 1)]);
    e.progress.status = EndpointStatus::Updating;
    e.progress.next = Some(Fleet::new(2, deployment(&[("v", 1)]), at(0)));
    let fleets = [seen("i-1", 1, State::Healthy), seen("i-2", 2, State::Starting)];
    assert_eq!(steps(&e, &fleets, 1), []);
    let fleets = [seen("i-1", 1, State::Healthy), seen("i-2", 2, State::Healthy)];
    assert_eq!(steps(&e, &fleets, 1), [Step::TakeOver]);
    e.progress.current = e.progress.next.take();
    e.progress.status = EndpointStatus::InService;
    e.progress.took_over = Some(at(10));
    if let Some(current) = &mut e.progress.current {
        current.termination_wait_seconds = 5;
    }
    assert_eq!(steps(&e, &fleets, 14), []);
    assert_eq!(steps(&e, &fleets, 15), [Step::Leave("i-1".into())]);
}

#[test]
fn who_leaves_ends_its_requests_first_and_is_made_to_go_at_last() {
    let mut leaving = seen("i-1", 1, State::Healthy);
    leaving.server.stopping = Some(at(10));
    leaving.outstanding = 1;
    let e = in_service(&[]);
    let one = |s: &Seen, now| steps(&e, std::slice::from_ref(s), now);
    assert_eq!(one(&leaving, 10), []);
    assert_eq!(one(&leaving, 75), [Step::Tell("i-1".into(), Order::Stop)]);
    assert_eq!(one(&leaving, 165), [Step::Tell("i-1".into(), Order::Kill)]);
    leaving.outstanding = 0;
    assert_eq!(one(&leaving, 10), [Step::Tell("i-1".into(), Order::Stop)]);
    leaving.over = true;
    assert_eq!(one(&leaving, 11), [Step::Remove("i-1".into())]);
}

#[test]
fn the_dead_are_replaced_later_and_later_and_counted_anew_after_steady_times() {
    let e = in_service(&[("v", 1)]);
    let after = |tries, now| {
        let mut s = seen("i-1", 1, dead(true));
        s.server.tries = tries;
        match steps(&e, &[s], now).remove(0) {
            Step::Begin { tries, at, instead: Some(_), .. } => (tries, at.millis() - now * 1000),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(after(0, 1), (1, 100));
    assert_eq!(after(1, 1), (2, 200));
    assert_eq!(after(30, 1), (31, 60_000));
    assert_eq!(after(30, 300), (1, 100));
    let mut waits = seen("i-2", 1, State::NotBegun);
    waits.server.begun = at(5);
    assert_eq!(steps(&e, std::slice::from_ref(&waits), 4), []);
    assert_eq!(steps(&e, &[waits], 5), [Step::Start("i-2".into())]);
}

#[test]
fn what_a_dead_one_said_is_taken_in_before_its_place_is() {
    let mut s = seen("i-1", 1, dead(true));
    s.over = false;
    let told = [Step::Tell("i-1".into(), Order::Kill)];
    assert_eq!(steps(&in_service(&[("v", 1)]), &[s], 1), told);
}

#[test]
fn a_new_fleet_is_given_up_where_another_try_is_of_no_use() {
    let e = endpoint(&[("v", 1)]);
    let up = [Step::GiveUp { reason: "it broke".into() }];
    assert_eq!(steps(&e, &[seen("i-1", 1, dead(false))], 1), up);
    assert!(matches!(steps(&e, &[seen("i-1", 1, dead(true))], 1)[..], [Step::Begin { .. }]));
    assert_eq!(steps(&e, &[seen("i-1", 1, dead(true))], 60), up);
    let mut tried = seen("i-1", 1, dead(true));
    tried.server.tries = MAX_TRIES;
    assert_eq!(steps(&e, &[tried], 1), up);
    // One that serves is never given up.
    let mut tried = seen("i-1", 1, dead(false));
    tried.server.tries = 9;
    assert!(matches!(steps(&in_service(&[("v", 1)]), &[tried], 1)[..], [Step::Begin { .. }]));
}

#[test]
fn an_unhealthy_one_is_replaced_after_its_time() {
    let e = in_service(&[("v", 1)]);
    let ill = [seen("i-1", 1, State::Unhealthy { since: at(0) })];
    assert_eq!(steps(&e, &ill, 29), []);
    let all = steps(&e, &ill, 30);
    assert_eq!(all[0], Step::Leave("i-1".into()));
    assert_eq!(begun_zones(&all), ["a"]);
}

#[test]
fn fewer_are_wanted_and_the_fullest_zone_gives() {
    let mut e = in_service(&[("v", 3)]);
    e.progress.status = EndpointStatus::Updating;
    if let Some(fleet) = &mut e.progress.current
        && let Some(share) = fleet.shares.get_mut("v")
    {
        share.count = 2;
    }
    let mut three: Vec<Seen> = ["i-1", "i-2", "i-3"].map(|id| seen(id, 1, State::Healthy)).to_vec();
    three[2].server.zone = "b".into();
    assert_eq!(steps(&e, &three, 1), [Step::Leave("i-2".into())]);
    three[1].server.stopping = Some(at(1));
    three[1].outstanding = 1;
    assert_eq!(steps(&e, &three, 1), [Step::Settle]);
}

#[test]
fn deleting_ends_with_the_record_and_failing_keeps_it() {
    let mut e = in_service(&[("v", 1)]);
    e.progress.status = EndpointStatus::Deleting;
    assert_eq!(steps(&e, &[seen("i-1", 1, State::Healthy)], 1), [Step::Leave("i-1".into())]);
    assert_eq!(steps(&e, &[], 1), [Step::Delete]);
    e.progress.status = EndpointStatus::Failed;
    assert_eq!(steps(&e, &[seen("i-1", 1, State::Starting)], 1), [Step::Leave("i-1".into())]);
    assert_eq!(steps(&e, &[], 1), []);
}

#[test]
fn an_update_whose_instances_do_not_come_up_ends_and_they_are_tried_on() {
    let mut e = in_service(&[("v", 2)]);
    e.progress.status = EndpointStatus::Updating;
    let two = [seen("i-1", 1, State::Healthy), seen("i-2", 1, dead(false))];
    assert_eq!(steps(&e, &two, 1), [Step::GiveUp { reason: "it broke".into() }]);
    // One that was there before is replaced, whatever it ends in.
    e.modified = at(100);
    let old = [seen("i-1", 1, State::Healthy), seen("i-2", 1, dead(true))];
    assert!(matches!(steps(&e, &old, 101)[..], [Step::Begin { .. }]));
    e.progress.status = EndpointStatus::InService;
    assert!(matches!(steps(&e, &two, 1)[..], [Step::Begin { .. }]));
}
