//! Counts what passes.

use super::sets::{self, CHAIN, KINDS, SIZE, TABLE, counted, without, word};
use super::tally::{Count, Tally};
use crate::error::{During, Result};
use crate::nftables::{self, Element};
use crate::router::RouterNet;
use nlink::netlink::nftables::{BaseChain, Chain, Family, FilterHook, Policy, Priority};
use nlink::netlink::{Connection, Nftables};
use std::os::fd::AsFd;

/// Behind every chain that decides.
const PRIORITY: i32 = 300;

/// What passed since the last reading.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Reading {
    /// What was counted.
    pub counts: Vec<Count>,
    /// The links between which more passed, for which there was no room.
    pub lost: Vec<(u32, u32)>,
    /// Whether the sets were more than a quarter full: whoever waits as long again may lose some.
    pub crowded: bool,
}

/// That the kernel counts elsewhere now: what [`Meter::read`] is told.
#[derive(Debug)]
pub struct Turn(Option<u64>);

/// The meter of one router. Its table is gone with the namespace, or by [`Meter::stop`].
pub struct Meter {
    nft: Connection<Nftables>,
    /// Number of the sets that are counted in now.
    epoch: u64,
    /// Whether the sets before these are still there.
    has_old: bool,
    /// Whether something had passed when it was last read.
    busy: bool,
}

impl std::fmt::Debug for Meter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Meter").field("epoch", &self.epoch).finish_non_exhaustive()
    }
}

impl Meter {
    /// Counts from now on what this router lets pass.
    ///
    /// # Errors
    /// If the kernel refuses the table.
    pub async fn start(router: &mut RouterNet) -> Result<Self> {
        let nft = Connection::<Nftables>::new_in(router.as_fd());
        let nft = nft.during("open an nftables socket")?;
        let base = BaseChain::filter(FilterHook::Forward, Priority::Custom(PRIORITY));
        let chain = Chain::new(TABLE, CHAIN).during("name the chain")?;
        let chain = chain.base(base.policy(Policy::Accept)).family(Family::Inet);
        // One may have been left by a meter that was dropped.
        let batch = nft.transaction().add_table(TABLE, Family::Inet);
        let batch = batch.del_table(TABLE, Family::Inet).add_table(TABLE, Family::Inet);
        router.beside(counted(batch.add_chain(chain), 0)).await?;
        Ok(Self { nft, epoch: 0, has_old: false, busy: false })
    }

    /// Counts no more, and forgets what was counted.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub async fn stop(self, router: &mut RouterNet) -> Result<()> {
        router.beside(self.nft.transaction().del_table(TABLE, Family::Inet)).await
    }

    /// Has the kernel count in other sets from now on, so that those that were can be read:
    /// nothing is counted twice, and nothing falls between. The router is needed for this moment
    /// only. Where nothing has passed nothing is changed.
    ///
    /// # Errors
    /// If the kernel does not answer. What was counted stays for the next time.
    pub async fn turn(&mut self, router: &mut RouterNet) -> Result<Turn> {
        if !self.busy && self.sets(self.epoch).await?.is_empty() {
            return Ok(Turn(None));
        }
        let (old, new) = (self.epoch, self.epoch + 1);
        let mut batch = self.nft.transaction().flush_chain(TABLE, CHAIN, Family::Inet);
        if self.has_old {
            batch = without(batch, old - 1);
        }
        router.beside(counted(batch, new)).await?;
        (self.epoch, self.has_old) = (new, true);
        Ok(Turn(Some(old)))
    }

    /// What passed between the last two turns.
    ///
    /// # Errors
    /// If the kernel does not answer. What was counted is then lost.
    pub async fn read(&mut self, turn: Turn) -> Result<Reading> {
        let Some(epoch) = turn.0 else { return Ok(Reading::default()) };
        let reading = self.sets(epoch).await?;
        self.busy = !reading.is_empty();
        Ok(reading)
    }

    async fn sets(&self, epoch: u64) -> Result<Reading> {
        let mut reading = Reading::default();
        for kind in KINDS {
            let mut tally = Tally::default();
            let counts = self.list(&kind.counts(epoch)).await?;
            reading.crowded |= counts.len() > SIZE as usize / 4;
            for element in counts.iter().chain(&self.list(&kind.flags(epoch)).await?) {
                kind.parse(element).into_iter().for_each(|c| tally.add(c, usize::MAX));
            }
            // Of what was not counted there may be flags.
            reading.counts.extend(tally.into_counts().filter(|c| c.packets > 0));
        }
        let lost = self.list(&sets::lost(epoch)).await?;
        let links = lost.iter().filter_map(|e| Some((word(&e.key, 0)?, word(&e.key, 1)?)));
        reading.lost = links.collect();
        Ok(reading)
    }

    async fn list(&self, set: &str) -> Result<Vec<Element>> {
        nftables::elements(&self.nft, TABLE, set).await
    }
}

impl Reading {
    fn is_empty(&self) -> bool {
        self.counts.is_empty() && self.lost.is_empty()
    }
}
