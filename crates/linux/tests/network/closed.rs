//! A router whose links are there before its rules.

use crate::agree::runtime;
use belljar_linux::netns::NetNs;
use belljar_linux::router::RouterNet;
use belljar_vpc::compile::compile;
use belljar_vpc::id::VpcId;
use belljar_vpc::{Network, sample};
use std::time::Duration;

const NETWORK: &str = "
vpc vpc-a 10.0.0.0/16
subnet subnet-a vpc-a us-east-1a 10.0.1.0/24
group sg-a vpc-a
  ingress all 0.0.0.0/0
  egress all 0.0.0.0/0
eni eni-a subnet-a 10.0.1.10 sg-a
eni eni-b subnet-a 10.0.1.11 sg-a
";
/// A packet within a machine takes far less.
const PATIENCE: Duration = Duration::from_millis(200);

pub(crate) fn until_loaded() -> crate::Outcome {
    let vpc: VpcId = "vpc-a".parse()?;
    let router = compile(&Network::new(sample::read(NETWORK)?)?, &vpc);
    runtime().block_on(async {
        let mut net = RouterNet::create().await?;
        let (a, b) = (NetNs::create()?, NetNs::create()?);
        for (id, far) in [("eni-a", &a), ("eni-b", &b)] {
            net.add_link(router.interface(&id.parse()?).ok_or("no link")?, far).await?;
        }
        let from = a.bind_udp("10.0.1.10:7000".parse()?)?;
        let to = b.bind_udp("10.0.1.11:7000".parse()?)?;
        to.set_nonblocking(false)?;
        to.set_read_timeout(Some(PATIENCE))?;
        let passes = || from.send_to(b"?", "10.0.1.11:7000").is_ok() && to.recv(&mut [0]).is_ok();
        assert!(!passes(), "a packet passed a router without rules");
        net.apply(router.clone()).await?;
        to.set_read_timeout(Some(100 * PATIENCE))?;
        assert!(passes(), "nothing passes");
        Ok(())
    })
}
