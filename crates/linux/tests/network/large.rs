//! A VPC of a thousand interfaces: loaded whole, and grown by one.

use crate::agree::runtime;
use belljar_linux::netns::NetNs;
use belljar_linux::router::{RouterNet, holds};
use belljar_vpc::Network;
use belljar_vpc::compile::compile_all;
use belljar_vpc::id::{InterfaceId, VpcId};
use belljar_vpc::sample;
use std::sync::Arc;
use std::time::Duration;

/// Time that this process has used, in the kernel too: other work on the machine is none of it.
struct Used(Duration);

impl Used {
    fn now() -> Self {
        let used = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
        Self(Duration::new(used.tv_sec as u64, used.tv_nsec as u32))
    }

    fn elapsed(&self) -> Duration {
        Self::now().0.saturating_sub(self.0)
    }
}

const INTERFACES: u32 = 1000;
/// What Linux lets an ordinary user send, if nobody has changed it.
const WMEM_MAX: i32 = 212_992;

#[expect(clippy::print_stderr, reason = "says how long it took")]
pub(crate) fn one_more() -> crate::Outcome {
    let vpc: VpcId = "vpc-a".parse()?;
    let whole = sample::large(INTERFACES + 1, 100, 20)?;
    let mut fewer = whole.clone();
    let last: InterfaceId = fewer.interfaces.keys().next_back().cloned().ok_or("no interface")?;
    fewer.interfaces.remove(&last);
    // What both have is shared, as it is between a network and the one that was made of it.
    let (fewer, whole) = (Network::new(fewer)?, Network::new(whole)?);
    runtime().block_on(async {
        let mut net = RouterNet::create().await?;
        net.limit(WMEM_MAX);
        let started = Used::now();
        let before = compile_all(&fewer, None);
        net.apply(Arc::clone(&before[&vpc])).await?;
        let load = started.elapsed();
        let mut best = Duration::MAX;
        for _ in 0..3 {
            let far = NetNs::create()?;
            let started = Used::now();
            let router = Arc::clone(&compile_all(&whole, Some((&fewer, &before)))[&vpc]);
            let compiled = started.elapsed();
            let link = router.interface(&last).cloned().ok_or("no link")?;
            let old = net.loaded().ok_or("nothing is loaded")?;
            // Elements, and nothing else.
            assert!(router.chains == old.chains && router.tables == old.tables);
            net.add_link(&link, &far).await?;
            let linked = started.elapsed();
            net.apply(router).await?;
            let all = started.elapsed();
            best = best.min(all);
            eprintln!(
                "compiled after {compiled:?}, linked after {linked:?}, applied after {all:?}"
            );
            net.verify().await?;
            net.remove_link(&link.name).await?;
            net.apply(Arc::clone(&before[&vpc])).await?;
        }
        eprintln!("{INTERFACES} interfaces loaded and read back in {load:?}, one more in {best:?}");
        Ok(())
    })
}

/// A change that an ordinary user cannot tell the kernel at once is refused, and says so.
pub(crate) fn too_large() -> crate::Outcome {
    let vpc: VpcId = "vpc-a".parse()?;
    let whole = sample::large(INTERFACES, 100, 20)?;
    let mut none = whole.clone();
    none.interfaces.clear();
    let (none, whole) = (Network::new(none)?, Network::new(whole)?);
    let (none, whole) = (compile_all(&none, None), compile_all(&whole, None));
    runtime().block_on(async {
        let mut net = RouterNet::create().await?;
        net.limit(WMEM_MAX);
        net.apply(Arc::clone(&none[&vpc])).await?;
        let refused = net.apply(Arc::clone(&whole[&vpc])).await.err().ok_or("it was taken")?;
        assert!(refused.source.to_string().contains("net.core.wmem_max"), "{refused:?}");
        holds(net.ns(), &none[&vpc]).await?;
        Ok(())
    })
}
