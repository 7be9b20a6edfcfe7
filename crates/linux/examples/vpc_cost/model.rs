//! How long it takes to explain a large network, and to load one.

use belljar_linux::netns::NetNs;
use belljar_linux::router::RouterNet;
use belljar_vpc::compile::compile_all;
use belljar_vpc::id::{InterfaceId, VpcId};
use belljar_vpc::network::{Change, Record};
use belljar_vpc::reach::{Call, reach, reach_all, reach_service};
use belljar_vpc::sample::{self, Dice};
use belljar_vpc::{Network, Payload};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Instant;
use tokio::runtime::Runtime;

const QUERIES: usize = 5000;
const ROUNDS: usize = 5;
/// Interfaces of the VPC that is loaded.
const LOADED: u32 = 1000;

/// Milliseconds since.
fn since(began: Instant) -> f64 {
    began.elapsed().as_secs_f64() * 1e3
}

pub(crate) fn measure(runtime: &Runtime) -> Value {
    let network = Network::new(sample::large(5000, 2500, 60).unwrap()).unwrap();
    let mut dice = Dice::new(1);
    let flows: Vec<_> = (0..QUERIES).map(|_| sample::flow(&network, &mut dice).unwrap()).collect();
    let mut passed = 0;
    let queries: Vec<f64> = flows
        .iter()
        .map(|flow| {
            let began = Instant::now();
            let answer = reach(&network, flow);
            let took = since(began);
            passed += usize::from(answer.passes());
            took
        })
        .collect();
    let port: Payload = "tcp 443".parse().unwrap();
    let mut pairs = 0;
    let all_pairs: Vec<f64> = (0..ROUNDS)
        .map(|_| {
            let began = Instant::now();
            pairs = reach_all(&network, &port).count();
            since(began)
        })
        .collect();
    let unresolved = unresolved(&network);
    let (load, add) = runtime.block_on(load());
    json!({"queries": queries, "passed": passed, "allPairs": all_pairs, "pairs": pairs,
        "unresolved": unresolved, "load": load, "add": add})
}

/// A service's name leads nowhere: the endpoint that it lacks is found, and the way to that.
fn unresolved(network: &Network) -> Vec<f64> {
    let from = network.interfaces.keys();
    let calls = from.take(QUERIES / 50).map(|from| {
        let began = Instant::now();
        let call = Call { from, region: "us-east-1", service: "logs", port: 443, request: None };
        assert!(!reach_service(network, &call).blockers.is_empty());
        since(began)
    });
    calls.collect()
}

/// A VPC is compiled, loaded and read back; then an interface is added as the fabric adds one: the
/// changed description is checked, compiled, linked and applied.
async fn load() -> (Vec<f64>, Vec<f64>) {
    let vpc: VpcId = "vpc-a".parse().unwrap();
    let whole = sample::large(LOADED + 1, 100, 20).unwrap();
    let mut fewer = whole.clone();
    let last: InterfaceId = fewer.interfaces.keys().next_back().cloned().unwrap();
    fewer.interfaces.remove(&last);
    let added = whole.interfaces[&last].as_ref().clone();
    let change = Change::Put(Record::Interface(last.clone(), added));
    let fewer = Network::new(fewer).unwrap();
    let (mut loads, mut adds) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let mut net = RouterNet::create().await.unwrap();
        let began = Instant::now();
        let before = compile_all(&fewer, None);
        net.apply(Arc::clone(&before[&vpc])).await.unwrap();
        loads.push(since(began));
        let far = NetNs::create().unwrap();
        let began = Instant::now();
        // As the fabric does: a change of the description, checked, compiled, linked, loaded.
        let mut description = fewer.description().clone();
        description.apply(change.clone());
        let whole = Network::new(description).unwrap();
        let routers = compile_all(&whole, Some((&fewer, &before)));
        let router = Arc::clone(&routers[&vpc]);
        let link = router.interface(&last).cloned().unwrap();
        net.add_link(&link, &far).await.unwrap();
        net.apply(router).await.unwrap();
        adds.push(since(began));
        net.verify().await.unwrap();
    }
    (loads, adds)
}
